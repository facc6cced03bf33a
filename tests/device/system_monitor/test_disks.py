"""Wear of eMMC, SD and NVMe, and what is told where it cannot be known."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from device.privileged import disk_health
from device.system_monitor import disks
from protocol.board import BoardDisk
from tests.device.trees import write
from tests.support import nvme_disks
from tests.support.two_users import only_root


def one(root: Path, ask: disks.Ask = disk_health.health_log) -> BoardDisk:
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


def nvme(root: Path, ask: disks.Ask = disk_health.health_log) -> BoardDisk:
    for name in ("nvme0n1", "nvme0n2"):
        (root / f"sys/block/{name}").mkdir(parents=True, exist_ok=True)
    return one(root, ask)


NOT_PERMITTED = BoardDisk(name="nvme0", kind="nvme", reason="not_permitted")


def test_an_nvme_without_its_device_is_for_root_alone(tmp_path: Path) -> None:
    assert nvme(tmp_path) == NOT_PERMITTED


def test_what_is_no_device_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/nvme0")
    assert nvme(tmp_path) == BoardDisk(name="nvme0", kind="nvme", reason="unreadable")


@only_root
def test_an_agent_that_is_root_asks_by_itself_and_names_it_once(tmp_path: Path) -> None:
    found = nvme(nvme_disks.with_disk(tmp_path), lambda _: nvme_disks.APPLE)
    assert found == BoardDisk(name="nvme0", kind="nvme", worn=2.0, spare=100.0, celsius=32.0)


@only_root
def test_a_refused_question_is_a_reason(tmp_path: Path) -> None:
    def refuse(_: int) -> bytes:
        raise OSError(errno.EACCES, "no")

    assert nvme(nvme_disks.with_disk(tmp_path), refuse).reason == "not_permitted"


@only_root
def test_a_device_that_is_no_nvme_answers_nothing(tmp_path: Path) -> None:
    assert nvme(nvme_disks.with_disk(tmp_path)).reason == "unreadable"  # the real question, of /dev/null's device


@only_root
def test_what_an_nvme_does_not_report_or_cannot_be_is_left_out(tmp_path: Path) -> None:
    assert nvme(nvme_disks.with_disk(tmp_path), lambda _: bytes(512)) == BoardDisk(
        name="nvme0", kind="nvme", reason="not_reported"
    )
    assert nvme(tmp_path, lambda _: b"\xff" * 512) == BoardDisk(name="nvme0", kind="nvme", worn=255.0)


def noted(root: Path, content: str | bytes, *, up_s: float = 600.0, mode: int = 0o644) -> Path:
    write(root, {"proc/uptime": f"{up_s} 1.0\n"})
    folder = root / "run" / disk_health.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / disk_health.FILE
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(mode)
    return file


GOOD = '{"uptime_s": 590.5, "disks": {"nvme0": {"worn": 93, "spare": 40, "celsius": 61}}}'
WORN = BoardDisk(name="nvme0", kind="nvme", worn=93.0, spare=40.0, celsius=61.0)


@only_root
def test_what_roots_program_has_written_down_is_reported(tmp_path: Path) -> None:
    """Written by the one, read by the other."""
    folder = tmp_path / "run" / disk_health.FOLDER
    folder.mkdir(parents=True)
    disk_health.main(nvme_disks.with_disk(tmp_path), folder, lambda _: nvme_disks.WORN_OUT)
    (tmp_path / "dev/nvme0").unlink()  # as in the agent's unit
    write(tmp_path, {"proc/uptime": Path("/proc/uptime").read_text()})
    assert nvme(tmp_path) == BoardDisk(name="nvme0", kind="nvme", worn=255.0, spare=3.0, celsius=71.0)


@pytest.mark.parametrize(("up_s", "known"), [(590.0, True), (590.5 + 3600, True), (4191.0, False), (30.0, False)])
def test_it_counts_for_an_hour_of_this_boot(up_s: float, known: bool, tmp_path: Path) -> None:
    noted(tmp_path, GOOD, up_s=up_s)
    assert nvme(tmp_path) == (WORN if known else NOT_PERMITTED)


@pytest.mark.parametrize(
    "content",
    [
        "", "null", "[]", "{}", "garbage", GOOD[:-1], '{"uptime_s": 590}', '{"uptime_s": "590", "disks": {}}',
        '{"uptime_s": 590, "disks": []}', '{"uptime_s": 590, "disks": {"nvme0": []}}', b"\xff\xfe",
        GOOD[:-1] + " " * 20000 + "}",
        '{"uptime_s": 590, "disks": {"nvme1": {"worn": 93}}}', "[" * 9000,
        '{"uptime_s": null, "disks": {"nvme0": {"worn": 93}}}', '{"uptime_s": 1e999, "disks": {"nvme0": {"worn": 93}}}',
    ],
)  # fmt: skip
def test_nonsense_in_its_place_is_as_if_it_were_not_there(content: str | bytes, tmp_path: Path) -> None:
    noted(tmp_path, content)
    assert nvme(tmp_path) == NOT_PERMITTED


@pytest.mark.parametrize("worn", ['"93"', "true", "-1", "[93]", "null", "9999999999", "93.5"])
def test_a_figure_that_cannot_be_is_none(worn: str, tmp_path: Path) -> None:
    noted(tmp_path, f'{{"uptime_s": 590, "disks": {{"nvme0": {{"worn": {worn}, "spare": 101, "celsius": 151}}}}}}')
    assert nvme(tmp_path) == BoardDisk(name="nvme0", kind="nvme", reason="not_reported")


def test_a_disk_that_refused_root_is_unreadable(tmp_path: Path) -> None:
    noted(tmp_path, '{"uptime_s": 590, "disks": {"nvme0": {"reason": "Input/output error"}}}')
    assert nvme(tmp_path) == BoardDisk(name="nvme0", kind="nvme", reason="unreadable")


@only_root
def test_a_file_that_others_could_have_written_counts_for_nothing(tmp_path: Path) -> None:
    file = noted(tmp_path, GOOD, mode=0o666)
    assert nvme(tmp_path) == NOT_PERMITTED
    file.chmod(0o644)
    assert nvme(tmp_path) == WORN
    os.chown(file, 12345, 0)
    assert nvme(tmp_path) == NOT_PERMITTED
    os.chown(file, 0, 0)
    elsewhere = file.rename(tmp_path / "elsewhere")
    file.symlink_to(elsewhere)
    assert nvme(tmp_path) == NOT_PERMITTED
