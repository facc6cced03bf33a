"""The archive that a pump makes: what tar reads of it, its parts, and going on behind each of them."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from archive.errors import ArchiveError
from archive.manifest import BEGIN, MANIFEST, Compression
from archive.plan import NoRoomError
from archive.pump import CHILD_ENVIRONMENT, PART_SIZE, ArchivePart, Pump
from archive.unpack import disk_size
from device.backups.scan import scan
from tests.support.backup_archives import archive_of, as_nobody, header, open_to_all, picture, read, unpack
from tests.support.file_trees import five_parts, one_of_everything
from tests.support.small_disk import small_disk

SHIFT = b"Machine 7 pressed 1,204 bottles.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return one_of_everything(tmp_path / "tree")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_systems_tar_unpacks_everything_as_it_was(
    tree: Path, tmp_path: Path, compression: Compression, workers: int
) -> None:
    scan(header({"data": tree}), tmp_path / "work", None)
    made = archive_of(tmp_path / "work", {"data": tree}, compression=compression, workers=workers)
    unpack(made.data, tmp_path / "out")
    assert picture(tmp_path / "out" / "data") == picture(tree)
    assert (tmp_path / "out/data/log").stat().st_ino == (tmp_path / "out/data/log.same").stat().st_ino
    assert (tmp_path / "out/data/holes").stat().st_blocks * 512 < 1_000_000
    assert made.summary.sha256 == hashlib.sha256(made.data).hexdigest()
    assert made.summary.size == len(made.data)


def test_the_manifest_stands_first_and_last_and_fits(tree: Path, tmp_path: Path) -> None:
    planned = scan(header({"data": tree}), tmp_path / "work", None)
    made = read(archive_of(tmp_path / "work", {"data": tree}).data)
    assert (made.names[0], made.names[-1]) == (BEGIN, MANIFEST)
    assert made.totals.files == planned.files == len([e for e in made.entries.values() if e.has_content])
    stored = sum(disk_size(entry) for entry in made.entries.values())
    assert stored <= planned.bytes < made.totals.bytes, "holes are not sent"
    assert made.totals.entries == planned.entries == len(made.entries)
    assert made.entries["data/log.same"].link == "data/log"
    assert made.entries["data/holes"].sparse is not None
    assert made.entries["data/nothing"].mtime_ns == 1_234_567_890_123_456_789
    assert made.entries["data/tool.sh"].mode == 0o4750
    assert "data/latin-\udce9.txt" in made.entries


def test_a_file_of_holes_is_announced_by_what_is_stored_of_it(tmp_path: Path) -> None:
    """The hub refuses what is announced beyond its limit: an image of a terabyte with a page in it is none."""
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "card.img").open("wb") as image:
        image.truncate(2**40)
        image.seek(2**39)
        image.write(SHIFT)
    planned = scan(header({"data": tmp_path / "tree"}), tmp_path / "work", None)
    assert planned.bytes < 1_000_000
    assert planned.state_bytes == 2**40


def test_what_does_not_get_smaller_is_stored(tree: Path, tmp_path: Path) -> None:
    scan(header({"data": tree}), tmp_path / "work", None)
    made = archive_of(tmp_path / "work", {"data": tree})
    assert 3_000_000 < len(made.data) < 3_400_000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return five_parts(tmp_path / "large")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_pump_goes_on_behind_every_part_with_the_same_bytes(
    large: Path, tmp_path: Path, compression: Compression
) -> None:
    scan(header({"data": large}), tmp_path / "work", None)
    parts = list(Pump(tmp_path / "work", {"data": large}, compression=compression).parts())
    assert len(parts) >= 4
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(len(part.data) == PART_SIZE for part in parts[:-1])
    assert 0 < len(parts[-1].data) <= PART_SIZE
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(part.checkpoint is not None and len(part.checkpoint) < 1_300_000 for part in parts[:-1])
    kept = b""
    for part in parts:
        kept = part.checkpoint or kept  # as whoever sends them keeps it
        behind = min(part.number, len(parts) - 1)  # killed behind the last one, that one is made again
        again = Pump(tmp_path / "work", {"data": large}, compression=compression)
        rest = list(again.parts(kept))
        assert [p[:4] for p in rest] == [p[:4] for p in parts[behind:]]
        assert again.summary.sha256 == ""
        assert again.summary[:2] == (sum(len(p.data) for p in parts), len(parts))


def test_a_new_process_for_each_part_makes_the_same_archive(large: Path, tmp_path: Path) -> None:
    scan(header({"data": large}), tmp_path / "work", None)
    whole = archive_of(tmp_path / "work", {"data": large}).data
    made, part = b"", ArchivePart(0, b"", "", False, None)
    while not part.last:
        parts = Pump(tmp_path / "work", {"data": large}, workers=2).parts(part.checkpoint)
        part = next(parts)
        made += part.data
        for _ in zip(range(2), parts, strict=False):
            pass  # it is ahead when it is killed: what it listed meanwhile must not count
    assert made == whole


def cut_after(number: int, folder: Path, root: Path) -> tuple[bytes, bytes]:
    parts = Pump(folder, {"data": root}, compression="none").parts()
    taken = [next(parts) for _ in range(number)]
    assert taken[-1].checkpoint
    return b"".join(part.data for part in taken), taken[-1].checkpoint


@pytest.mark.parametrize("happens", ["written", "shorter", "gone", "a folder"])
def test_a_file_that_changed_while_nobody_ran_is_written_again(tmp_path: Path, happens: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "video").write_bytes(random.Random(3).randbytes(20_000_000))
    (root / "z").write_bytes(SHIFT)
    scan(header({"data": root}), tmp_path / "work", None)
    begun, checkpoint = cut_after(1, tmp_path / "work", root)
    after = SHIFT * 1000
    if happens == "written":
        after = random.Random(4).randbytes(20_000_000)
        (root / "video").write_bytes(after)
    elif happens == "shorter":
        (root / "video").write_bytes(after)
    else:
        (root / "video").unlink()
        if happens == "a folder":
            (root / "video").mkdir()
    pump = Pump(tmp_path / "work", {"data": root}, compression="none")
    made = read(begun + b"".join(part.data for part in pump.parts(checkpoint)))
    assert made.names.count("data/video") == 2
    assert made.contents["data/z"] == SHIFT
    if happens == "gone":
        assert (made.entries["data/video"].mark, made.entries["data/video"].size) == ("changed", 0)
        assert pump.summary.report.lines[0].text == "No such file or directory"
    elif happens == "a folder":
        assert made.entries["data/video"].kind == "dir"
    else:
        assert made.contents["data/video"] == after
        assert made.entries["data/video"].mark is None


def while_reading(root: Path, folder: Path, change: Callable[[int], None]) -> Any:
    """What is in the archive, and its report, when something happens behind each part."""
    scan(header({"data": root}), folder, None)
    pump = Pump(folder, {"data": root}, compression="none", workers=0)
    made = b""
    for part in pump.parts():
        made += part.data
        change(part.number)
    return read(made), pump.summary.report


def test_a_file_that_changes_while_it_is_read_is_retried(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    video = tmp_path / "root" / "video"
    video.write_bytes(bytes(20_000_000))

    def change(number: int) -> None:
        if number == 1:
            with video.open("ab") as file:
                file.write(SHIFT)

    made, report = while_reading(tmp_path / "root", tmp_path / "work", change)
    assert made.names.count("data/video") == 2
    assert made.contents["data/video"] == bytes(20_000_000) + SHIFT
    assert made.entries["data/video"].mark is None
    assert report.counts == {}


def test_a_file_that_never_rests_is_marked_after_three_attempts(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    log = tmp_path / "root" / "log"
    log.write_bytes(b"0" * 20_000_000)
    os.link(log, tmp_path / "root" / "log.same")

    def change(number: int) -> None:
        with log.open("ab") as file:
            file.write(b"%d" % number)

    made, report = while_reading(tmp_path / "root", tmp_path / "work", change)
    assert made.names.count("data/log") == 3
    assert made.entries["data/log"].mark == "changed"
    assert made.entries["data/log.same"].kind == "file", "a hard link to it would be of no use"
    assert report.counts["changed"] >= 1
    assert {line.path for line in report.lines} <= {"data/log", "data/log.same"}


def test_a_file_that_goes_while_it_is_retried_stays_as_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    log = tmp_path / "root" / "log"
    log.write_bytes(b"0" * 20_000_000)

    def change(number: int) -> None:
        if number == 1:
            log.unlink()
            log.write_bytes(b"1")
        if number == 2:
            log.unlink(missing_ok=True)

    made, report = while_reading(tmp_path / "root", tmp_path / "work", change)
    assert made.contents["data/log"].startswith(b"000")
    assert made.entries["data/log"].mark == ("changed" if made.names.count("data/log") == 1 else None)
    assert report.counts in ({"changed": 1}, {})


def test_what_vanished_or_became_something_else_is_a_line_of_the_report(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    for name in ("gone", "pipe", "now-a-link", "a", "folder/inside"):
        (root / name).write_bytes(SHIFT)
    os.link(root / "gone", root / "its-other-name")
    scan(header({"data": root}), tmp_path / "work", None)
    for name in ("gone", "pipe", "now-a-link", "folder/inside"):
        (root / name).unlink()
    os.mkfifo(root / "pipe")
    (root / "now-a-link").symlink_to("a")
    (root / "folder").rmdir()
    made = archive_of(tmp_path / "work", {"data": root})
    found = read(made.data)
    marks = {path: entry.mark for path, entry in found.entries.items() if entry.mark}
    assert marks == dict.fromkeys(("data/gone", "data/pipe", "data/folder", "data/folder/inside"), "vanished")
    assert found.entries["data/now-a-link"].link == "a"
    assert found.contents["data/its-other-name"] == SHIFT
    assert made.summary.report.counts == {"vanished": 4}
    assert not any("pipe" in name for name in found.names)


def test_a_folder_that_became_a_link_since_is_not_followed(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "sub", elsewhere):
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(folder.name.encode())
    scan(header({"data": root}), tmp_path / "work", None)
    shutil.rmtree(root / "sub")
    (root / "sub").symlink_to(elsewhere)
    made = archive_of(tmp_path / "work", {"data": root})
    found = read(made.data)
    assert "data/sub/x" not in found.contents
    assert (found.entries["data/sub"].link, found.entries["data/sub/x"].mark) == (str(elsewhere), "vanished")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_an_unreadable_file_is_a_line_of_the_report_and_no_failure(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(SHIFT)
    (root / "secret").write_bytes(SHIFT)
    (root / "secret").chmod(0)
    open_to_all(tmp_path)

    def back_up() -> None:
        scan(header({"data": root}), tmp_path / "work", None)
        made = archive_of(tmp_path / "work", {"data": root})
        found = read(made.data)
        assert found.entries["data/secret"].mark == "unreadable"
        assert found.contents["data/a"] == SHIFT
        assert made.summary.report.lines[0].path == "data/secret"
        assert made.summary.report.lines[0].text == "Permission denied"

    as_nobody(back_up)


def test_a_checkpoint_that_fits_nothing_is_refused(large: Path, tmp_path: Path) -> None:
    scan(header({"data": large}), tmp_path / "work", None)
    first = next(Pump(tmp_path / "work", {"data": large}).parts())
    for wrong in (b"", b"\x00", first.checkpoint[:-9] if first.checkpoint else b""):
        with pytest.raises(ArchiveError, match="checkpoint"):
            next(Pump(tmp_path / "work", {"data": large}).parts(wrong))
    with pytest.raises(ArchiveError, match="otherwise"):
        next(Pump(tmp_path / "work", {"data": large}, compression="zstd").parts(first.checkpoint))
    (tmp_path / "work" / "entries.jsonl").write_bytes(b"")
    with pytest.raises(ArchiveError, match="shorter"):
        next(Pump(tmp_path / "work", {"data": large}).parts(first.checkpoint))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_disk_that_fills_meanwhile_is_reported_with_the_figure_and_gone_on_from(large: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "70m") as disk:
        scan(header({"data": large}), disk.folder / "work", None)
        whole = archive_of(disk.folder / "work", {"data": large}).data
        (disk.folder / "work" / "entries.jsonl").unlink()
        parts = Pump(disk.folder / "work", {"data": large}).parts()
        first = next(parts)
        disk.fill()
        with pytest.raises(NoRoomError) as refused:
            list(parts)
        assert refused.value.free == 0
        disk.free()
        rest = Pump(disk.folder / "work", {"data": large}).parts(first.checkpoint)
        assert first.data + b"".join(part.data for part in rest) == whole


def test_pipes_sockets_and_devices_are_left_out_and_named(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").touch()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "s"))
        os.mkfifo(root / "p")
        if os.geteuid() == 0:
            os.mknod(root / "d", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        found = scan(header({"data": root}), tmp_path / "work", None)
    noted = {line.path: (line.code, line.text) for line in found.report.lines}
    kinds = {"data/p": "pipe", "data/s": "socket"} | ({"data/d": "device"} if os.geteuid() == 0 else {})
    assert noted == {path: ("special", kind) for path, kind in kinds.items()}
    assert found.report.counts == {"special": len(kinds)}
    assert set(read(archive_of(tmp_path / "work", {"data": root}).data).entries) == {"data", "data/file"}


_HUNGRY = """
import resource, sys
from pathlib import Path
from archive.plan import NoRoomError
from archive.pump import Pump
from device.backups.scan import scan
from tests.support.backup_archives import header
root, work = Path(sys.argv[1]), Path(sys.argv[2])
scan(header({"data": root}), work, None)
for part in Pump(work, {"data": root}, workers=2, compression=sys.argv[3], recipients=sys.argv[4:]).parts():
    pass
import re
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.parametrize(("compression", "readers"), [("gzip", 0), ("zstd", 0), ("gzip", 2)])
def test_memory_does_not_grow_with_what_is_backed_up(tmp_path: Path, compression: str, readers: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(20_000):
        (root / f"{number}.json").touch()
    with (root / "video").open("wb") as video:
        for _ in range(8):
            video.write(random.Random(5).randbytes(8_000_000))
    recipients = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(readers)]
    ran = subprocess.run(
        [sys.executable, "-c", _HUNGRY, root, tmp_path / "work", compression, *recipients], check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2], env={**os.environ, **CHILD_ENVIRONMENT},
    )  # fmt: skip
    assert int(ran.stdout) <= 64
