"""Wear of eMMC, SD and NVMe, and what is told where it cannot be known."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from device.system_monitor import disks
from protocol.board import BoardDisk
from tests.device.trees import write


def one(root: Path, ask: disks.Ask | None = None) -> BoardDisk:
    (found,) = disks.disks(root, ask)
    return found


def emmc(root: Path, life_time: str, pre_eol: str = "0x01") -> BoardDisk:
    device = root / "sys/block/mmcblk0/device"
    write(device, {"type": "MMC\n", "life_time": f"{life_time}\n", "pre_eol_info": f"{pre_eol}\n"})
    return one(root)


@pytest.mark.parametrize(
    ("life_time", "pre_eol", "worn"),
    [
        ("0x01 0x01", "0x01", 0.0),
        ("0x02 0x01", "0x01", 10.0),
        ("0x01 0x0a", "0x01", 90.0),
        ("0x0b 0x0b", "0x01", 100.0),
        ("0x01 0x01", "0x02", 80.0),
        ("0x01 0x01", "0x03", 90.0),
        ("0x00 0x00", "0x03", 90.0),
        ("0x00 0x00", "0x00", None),
        ("0x0c 0xff", "0x00", None),
        ("nonsense", "nonsense", None),
    ],
)
def test_the_wear_of_an_emmc_is_at_least_what_it_says(
    life_time: str, pre_eol: str, worn: float | None, tmp_path: Path
) -> None:
    reason = None if worn is not None else "not_reported"
    assert emmc(tmp_path, life_time, pre_eol) == BoardDisk(name="mmcblk0", kind="emmc", worn=worn, reason=reason)


def test_a_card_reports_nothing_and_a_part_of_a_disk_is_none(tmp_path: Path) -> None:
    for name in ("mmcblk1", "mmcblk1boot0", "sda", "loop0", "zram0"):
        write(tmp_path / f"sys/block/{name}/device", {"type": "SD\n"})
    assert one(tmp_path) == BoardDisk(name="mmcblk1", kind="sd", reason="not_reported")


def nvme(root: Path, ask: disks.Ask | None = None) -> BoardDisk:
    for name in ("nvme0n1", "nvme0n2"):
        (root / f"sys/block/{name}").mkdir(parents=True)
    return one(root, ask)


def test_an_nvme_without_its_device_is_for_root_alone(tmp_path: Path) -> None:
    assert nvme(tmp_path) == BoardDisk(name="nvme0", kind="nvme", reason="not_permitted")


def test_what_is_no_device_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/nvme0")
    assert nvme(tmp_path) == BoardDisk(name="nvme0", kind="nvme", reason="unreadable")


def device(root: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev/nvme0").symlink_to("/dev/null")


def test_an_nvme_that_answers_is_named_once(tmp_path: Path) -> None:
    device(tmp_path)
    assert nvme(tmp_path, lambda _: 93) == BoardDisk(name="nvme0", kind="nvme", worn=93.0)


def test_a_refused_question_is_a_reason(tmp_path: Path) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.EACCES, "no")

    device(tmp_path)
    assert nvme(tmp_path, refuse).reason == "not_permitted"


def test_a_device_that_is_no_nvme_answers_nothing(tmp_path: Path) -> None:
    device(tmp_path)
    assert nvme(tmp_path).reason == "unreadable"  # the real question, of /dev/null


def test_the_question_is_what_the_kernel_expects() -> None:
    command = disks.smart_command(0x1122334455667788)
    assert len(command) == 72
    assert struct.unpack_from("=B3xI", command) == (0x02, 0xFFFFFFFF)
    assert struct.unpack_from("=QII", command, 24) == (0x1122334455667788, 0, 512)
    assert struct.unpack_from("=I", command, 40) == ((127 << 16) | 0x02,)
