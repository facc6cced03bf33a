"""A proof run by hand: the adapter reads the real jetson-stats service, driven by that package's own test mode.

TEST_JTOP_PYTHON: a Python 3.10 or newer with jetson-stats (AGPL, so in no environment of ours) and msgspec. Needs root,
and a root file system of its own by overlayfs, because the service writes to /run and looks below /fake_sys."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from device.system_monitor.jtop import RETRY_AFTER_S

PYTHON = os.environ.get("TEST_JTOP_PYTHON", "")
ROOT = Path(__file__).parents[3]
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
exec chroot "$new" /usr/bin/env PYTHONPATH="$2" "$3" "$2/tests/support/jtop_service.py" "$4"
"""


@pytest.mark.skipif(not PYTHON, reason="TEST_JTOP_PYTHON names no Python with jetson-stats")
@pytest.mark.timeout(120)
def test_the_real_service_is_read_lost_and_found_again(tmp_path: Path) -> None:
    words = [*ALONE, "sh", "-c", OWN_ROOT, "sh", str(tmp_path), str(ROOT), PYTHON]
    done = subprocess.run([*words, str(SECONDS)], capture_output=True, text=True, timeout=110, check=False)
    lines: list[list[Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == SECONDS, done.stdout + done.stderr
    fresh = [second for second, gpu, power, _ in lines if (gpu, power) == (84.3, 12.038)]
    lost = [second for second, gpu, power, why in lines if gpu is power is None and why]
    assert sorted(fresh + lost) == list(range(SECONDS)), lines
    assert 3 in fresh
    assert set(range(8, 12)) <= set(lost), "two intervals and a bit after the service was killed"
    assert min(second for second in fresh if second > 12) <= 5 + 3 + RETRY_AFTER_S + 1
