"""What NVIDIA's files say, also half-written ones, and those that only root may read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from device.system_monitor import jetson
from device.system_monitor.jetson import GpuMemory, JetsonFact
from tests.device.trees import write

RELEASE = {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n"}
MODES = "< POWER_MODEL ID=0 NAME=15W >\n\n< POWER_MODEL ID=12 NAME=MAXN_SUPER >\n\n< PM_CONFIG DEFAULT=0 >\n"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Package: nvidia-jetpack\nStatus: install ok installed\nVersion: 6.2.1+b38\n\n", "6.2.1"),
        ("Package: nvidia-jetpack\nVersion: 5.1.1-b56\n", "5.1.1"),
        ("Package: nvidia-jetpack-dev\nVersion: 9.9\n\nPackage: other\nVersion: 1\n", "6.2"),
        ("Package: nvidia-jetpack\nStatus: deinstall ok config-files\n\nPackage: other\nVersion: 1\n", "6.2"),
        ("Package: nvidia-jetpack\nVersion:  \n", "6.2"),
        (None, "6.2"),
    ],
)
def test_jetpack_is_the_package_or_what_l4t_belongs_to(status: str | None, expected: str, tmp_path: Path) -> None:
    write(tmp_path, RELEASE if status is None else {**RELEASE, "var/lib/dpkg/status": status})
    assert jetson.jetpack(tmp_path) == JetsonFact(expected)


def test_packages_are_read_again_when_they_have_changed(tmp_path: Path) -> None:
    status = "var/lib/dpkg/status"
    write(tmp_path, {**RELEASE, status: "Package: nvidia-jetpack\nVersion: 6.1+b123\n"})
    assert jetson.jetpack(tmp_path).value == "6.1"
    write(tmp_path, {status: "Package: nvidia-jetpack\nVersion: 6.2.1+b38\n"})
    assert jetson.jetpack(tmp_path).value == "6.2.1"


def test_jetpack_of_an_l4t_that_nobody_knows_yet(tmp_path: Path) -> None:
    write(tmp_path, {"etc/nv_tegra_release": "# R99 (release), REVISION: 1.0, GCID: 1\n"})
    assert jetson.jetpack(tmp_path) == JetsonFact(None, "not_reported")


@pytest.mark.parametrize(
    ("modes", "status", "expected"),
    [
        (MODES, "pmode:0012\n", JetsonFact("MAXN_SUPER")),
        (MODES, "pmode:0012 fmode:fanNull", JetsonFact("MAXN_SUPER")),
        (MODES, None, JetsonFact("15W")),
        (MODES, "garbage", JetsonFact("15W")),
        (MODES, "pmode:0007", JetsonFact(None, "impossible")),
        ("# nothing\n", None, JetsonFact(None, "not_reported")),
        (None, "pmode:0000", JetsonFact(None, "absent")),
    ],
)
def test_the_power_mode_has_its_name(
    modes: str | None, status: str | None, expected: JetsonFact, tmp_path: Path
) -> None:
    files = {"etc/nvpmodel.conf": modes, "var/lib/nvpmodel/status": status}
    write(tmp_path, {name: text for name, text in files.items() if text is not None})
    assert jetson.power_mode(tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CLIENT  PROCESS  PID  SIZE\nuser  x  1  4K\ntotal   12K\n", GpuMemory(12 * 1024)),
        ("total   3M\n", GpuMemory(3 * 1024**2)),
        ("total 7\n", GpuMemory(7)),
        ("user x 1 4K\n", GpuMemory(None, "impossible")),
    ],
)
def test_the_gpu_has_a_part_of_the_memory(text: str, expected: GpuMemory, tmp_path: Path) -> None:
    write(tmp_path, {"sys/kernel/debug/nvmap/iovmm/clients": text})
    assert jetson.gpu_memory(tmp_path) == expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.EACCES, "not_permitted"),
        (errno.EPERM, "not_permitted"),
        (errno.EAGAIN, "offline"),
        (errno.ENOENT, "absent"),
        (errno.EIO, "unreadable"),
    ],
)
def test_why_a_file_cannot_be_read_is_reported(
    error: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert jetson.gpu_memory(tmp_path) == GpuMemory(None, reason)


def test_a_board_without_l4t_is_known_by_its_device_tree(tmp_path: Path) -> None:
    assert not jetson.is_jetson(tmp_path)
    write(tmp_path, {"proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"})
    assert jetson.is_jetson(tmp_path)
