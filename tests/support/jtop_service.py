"""jetson-stats' own service in its test mode (JTOP_TESTING) below a root of its own, read by our adapter.

Run as a program inside that root: plays a board, starts the service, and prints what the adapter reads, a line a
second; then kills the service, and prints on; then starts another.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

FAKE: Final = Path("/fake_sys")
FREQUENCIES: Final = tuple(f"{kind}_{which}_freq" for kind in ("scaling", "cpuinfo") for which in ("min", "max", "cur"))
GPU: Final = "devices/platform/17000000.gpu/devfreq/17000000.gpu"
RAILS: Final = (("VDD_IN", 5016, 2400), ("VDD_CPU_GPU_CV", 5016, 500), ("VDD_SOC", 5016, 480))
"""Of the recorded Orin Nano: orin_nano_jetpack6.json."""


def play_board() -> None:
    files = {"stat": "cpu  100 0 50 800 40 5 5 0 0 0\ncpu0 100 0 50 800 40 5 5 0 0 0\nintr 1\n"}
    cpu = "devices/system/cpu/cpu0/cpufreq"
    files |= {f"{cpu}/{name}": "1000" for name in FREQUENCIES} | {f"{cpu}/scaling_governor": "schedutil"}
    files |= {f"{GPU}/{name}": "1000" for name in ("cur_freq", "max_freq", "min_freq")}
    files |= {f"{GPU}/governor": "nvhost_podgov", f"{GPU}/device/of_node/name": "gpu", f"{GPU}/device/load": "843"}
    files |= {f"{GPU}/device/{name}": "0" for name in ("railgate_enable", "tpc_pg_mask", "enable_3d_scaling")}
    files["bus/i2c/devices/1-0040/name"] = "ina3221"
    chip = "bus/i2c/devices/1-0040/hwmon/hwmon1"
    for number, (label, volts, amperes) in enumerate(RAILS, start=1):
        files |= {f"{chip}/in{number}_label": label, f"{chip}/in{number}_input": str(volts)}
        files |= {f"{chip}/curr{number}_input": str(amperes)}
    for name, text in files.items():
        (FAKE / name).parent.mkdir(parents=True, exist_ok=True)
        (FAKE / name).write_text(text)
    for folder in ("class/devfreq", "class/hwmon", "class/power_supply"):
        (FAKE / folder).mkdir(parents=True)
    (FAKE / "class/devfreq/17000000.gpu").symlink_to(FAKE / GPU)


def main() -> None:
    os.environ["JTOP_TESTING"] = "1"
    play_board()
    from jtop.service import JtopServer

    from device.system_monitor.jtop import JtopAdapter

    def started() -> None:
        JtopServer().start()

    started()
    adapter = JtopAdapter(time.monotonic)
    for second in range(int(sys.argv[1])):
        if second == 5:
            os.kill(-1, signal.SIGKILL)  # the service with all its processes: this is the first of its name space
            Path("/run/jtop.sock").unlink()
        if second == 12:
            started()
        gpu, power = adapter.gpu(), adapter.power()
        print(json.dumps([second, gpu.value, power.value, gpu.reason]), flush=True)
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
