"""The adapter reads the real jetson-stats service, driven by that package's own test mode.

The package (AGPL, so in no environment of ours) is installed for the test alone. Needs root, and a root file system of
its own by overlayfs, because the service writes to /run and looks below /fake_sys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from device.system_monitor.jtop import RETRY_AFTER_S

JETSON_STATS = "jetson-stats==4.3.2"
ROOT = Path(__file__).parents[2]
SECONDS = 40
ALONE = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
OWN_ROOT = """
set -e
mount -t tmpfs none "$1"; mkdir "$1/upper" "$1/work" "$1/root"; new="$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$new"
mount -t proc none "$new/proc"; mount --rbind /dev "$new/dev"
mount -t tmpfs none "$new/run"; mount -t tmpfs none "$new/sys"; sys="$new/sys"
mkdir -p "$sys/devices/virtual/dmi/id" "$sys/devices/system/cpu/cpu0" "$sys/class/hwmon" "$sys/class/net"
mkdir -p "$sys/devices/virtual/thermal/thermal_zone0"; echo x > "$sys/devices/virtual/dmi/id/board_name"
echo cpu-thermal > "$sys/devices/virtual/thermal/thermal_zone0/type"
echo 51687 > "$sys/devices/virtual/thermal/thermal_zone0/temp"
echo 'jtop:x:4711:root' >> "$new/etc/group"
for each in "$2" "$5" "$6"; do mkdir -p "$new$each"; mount --bind "$each" "$new$each"; done
exec chroot "$new" /usr/bin/env PYTHONPATH="$2" "$3" "$2/tests/support/jtop_service.py" "$4"
"""


@pytest.fixture(scope="module")
def jtop_python() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, for a root file system of its own")
    # The tests' own folder may be on a disk from which nothing is loaded.
    with tempfile.TemporaryDirectory(prefix="jtop-", dir="/var/tmp") as environment:
        yield installed(Path(environment))


def installed(environment: Path) -> Path:
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    wanted = [JETSON_STATS, f"msgspec=={msgspec.__version__}"]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *wanted]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{JETSON_STATS} could not be installed: {done.stderr.strip()[-300:]}")
    return python


@pytest.mark.timeout(240)
def test_the_real_service_is_read_lost_and_found_again(tmp_path: Path, jtop_python: Path) -> None:
    seen = [str(jtop_python.parents[1]), sys.base_prefix]
    words = [*ALONE, "sh", "-c", OWN_ROOT, "sh", str(tmp_path), str(ROOT), str(jtop_python), str(SECONDS), *seen]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    lines: list[list[Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == SECONDS, done.stdout + done.stderr
    fresh = [second for second, gpu, power, _ in lines if (gpu, power) == (84.3, 12.038)]
    lost = [second for second, gpu, power, why in lines if gpu is power is None and why]
    assert sorted(fresh + lost) == list(range(SECONDS)), lines
    assert 3 in fresh
    assert set(range(8, 12)) <= set(lost), "two intervals and a bit after the service was killed"
    assert min(second for second in fresh if second > 12) <= 5 + 3 + RETRY_AFTER_S + 1
