"""Folders as the kernels of real machines show them: an Orin with JetPack 5 or 6, a PC, an empty container."""

from __future__ import annotations

from pathlib import Path

STAT = "cpu  1000 0 500 8000 400 50 50 0 0 0\ncpu0 500 0 250 4000 200 25 25 0 0 0\nintr 1\n"
MEMINFO = "MemTotal:        7802112 kB\nMemFree:          512000 kB\nMemAvailable:    5851584 kB\nBuffers: 1 kB\n"
NET = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier\n"
    "    lo: 9999999    100    0    0    0     0          0         0  9999999     100    0    0    0     0       0\n"
    "  eth0: 1000000   1000    0    0    0     0          0         0   200000     900    0    0    0     0       0\n"
    "docker0: 555      1    0    0    0     0          0         0   666     1    0    0    0     0       0\n"
    " wlan0:   50000     50    0    0    0     0          0         0    10000      40    0    0    0     0       0\n"
)
BOOT_ID = "3f1c9a52-0a6e-4d9c-9b1e-6d2f4a7b8c90"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def net_interface(
    name: str,
    *,
    device: bool = True,
    kind: int = 1,
    ifindex: int,
    iflink: int | None = None,
    carrier: int = 1,
    bridge: bool = False,
    brport: bool = False,
    lower: tuple[str, ...] = (),
) -> dict[str, str]:
    """What /sys/class/net says of one; the kernel's links to other folders are files here."""
    at = f"sys/class/net/{name}"
    facts = {"type": kind, "ifindex": ifindex, "iflink": iflink or ifindex, "carrier": carrier}
    marks = [*(["device"] * device), *(["bridge"] * bridge), *(["brport"] * brport), *(f"lower_{one}" for one in lower)]
    return {f"{at}/{key}": f"{value}\n" for key, value in facts.items()} | {f"{at}/{mark}/x": "" for mark in marks}


def linux(root: Path) -> Path:
    """What every machine has under /proc and /etc."""
    return write(
        root,
        {
            "proc/stat": STAT,
            "proc/meminfo": MEMINFO,
            "proc/net/dev": NET,
            **net_interface("lo", device=False, kind=772, ifindex=1),
            **net_interface("eth0", ifindex=2),
            **net_interface("wlan0", ifindex=3),
            **net_interface("docker0", device=False, ifindex=4, bridge=True),
            "proc/uptime": "86400.25 300000.00\n",
            "proc/cpuinfo": "processor\t: 0\n\nprocessor\t: 1\n",
            "proc/sys/kernel/random/boot_id": BOOT_ID + "\n",
            "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
        },
    )


def zones(root: Path, temperatures: dict[str, str]) -> Path:
    for index, (kind, milli) in enumerate(temperatures.items()):
        write(root / f"sys/class/thermal/thermal_zone{index}", {"type": kind + "\n", "temp": milli + "\n"})
    return root


def cooling(root: Path, devices: dict[str, str]) -> Path:
    for index, (kind, state) in enumerate(devices.items()):
        write(root / f"sys/class/thermal/cooling_device{index}", {"type": kind + "\n", "cur_state": state + "\n"})
    return root


def ina3221(root: Path, address: str, rails: dict[str, tuple[int, int]]) -> Path:
    """`rails`: label to (millivolts, milliamperes), in the order of the chip's channels."""
    chip = root / f"sys/bus/i2c/devices/{address}/hwmon/hwmon3"
    files = {"name": "ina3221\n"}
    for channel, (label, (volts, amperes)) in enumerate(rails.items(), start=1):
        files |= {
            f"in{channel}_label": label + "\n",
            f"in{channel}_input": f"{volts}\n",
            f"curr{channel}_input": f"{amperes}\n",
        }
    return write(chip, files)


def orin_nano_jetpack6(root: Path) -> Path:
    """Orin Nano developer kit, L4T 36.3: platform node 17000000.gpu, zones in lower case, VDD_IN measured."""
    linux(root)
    zones(
        root,
        {
            "cpu-thermal": "49843", "gpu-thermal": "51250", "cv0-thermal": "-256000", "soc0-thermal": "48500",
            "tj-thermal": "51250", "pmic-die": "100000",
        },
    )  # fmt: skip
    cooling(root, {"pwm-fan": "2", "cpu-throttle-alert": "0", "gpu-throttle-alert": "0", "hot-surface-alert": "0"})
    ina3221(root, "1-0040", {"VDD_IN": (5040, 1400), "VDD_CPU_GPU_CV": (5040, 320), "VDD_SOC": (5040, 500)})
    device = root / "sys/class/devfreq/17000000.gpu/device"
    write(device, {"of_node/name": "gpu\x00", "load": "237\n"})
    write(root / "sys/devices/platform/17000000.gpu", {"load": "237\n"})
    return write(
        root,
        {
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\x00",
            "etc/nv_tegra_release": "# R36 (release), REVISION: 3.0, GCID: 36191598, BOARD: generic\n",
        },
    )


def agx_orin_jetpack5(root: Path) -> Path:
    """AGX Orin, L4T 35.4: node 17000000.ga10b, zones in mixed case, no input rail but two chips of parts."""
    linux(root)
    zones(root, {"CPU-therm": "45000", "GPU-therm": "-256000", "Tboard_tegra": "41000", "PMIC-Die": "50000"})
    cooling(root, {"cpufreq-cpu0": "3", "devfreq-17000000.ga10b": "0", "pwm-fan": "1"})
    ina3221(root, "1-0040", {"VDD_GPU_SOC": (20000, 200), "VDD_CPU_CV": (20000, 40), "VIN_SYS_5V0": (5000, 600)})
    ina3221(root, "1-0041", {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5000, 100)})
    write(root / "sys/devices/platform/17000000.ga10b", {"load": "1000\n"})
    return write(
        root,
        {
            "proc/device-tree/model": "Jetson AGX Orin\x00",
            "etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref\n",
        },
    )


def ordinary_pc(root: Path) -> Path:
    linux(root)
    cooling(root, {"Processor": "0", "intel_powerclamp": "-1"})
    write(root / "sys/class/hwmon/hwmon0", {"name": "nvme\n", "temp1_input": "61000\n"})
    write(root / "sys/class/hwmon/hwmon1", {"name": "coretemp\n", "temp1_input": "44000\n", "temp2_input": "46500\n"})
    return write(root, {"sys/class/dmi/id/product_name": "OptiPlex 7010\n"})
