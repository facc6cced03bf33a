"""What a scan plans: changed, added, deleted, and never deleted only because it could not be looked at."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from archive.errors import ArchiveError
from archive.plan import NoRoomError
from device.backups import scan as scan_module
from device.backups import walk
from device.backups.index import DamagedIndexError
from device.backups.scan import NoSourcesError, StoppedError, scan
from tests.support.backup_archives import Machine, Read, as_nobody, header, open_to_all, picture, read, replay, settle
from tests.support.file_trees import shake
from tests.support.small_disk import small_disk
from tests.support.two_users import only_root

SHIFT = b"Machine 7 pressed 1,204 bottles.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    (found / "day" / "hour").mkdir(parents=True)
    for name in ("a", "b", "day/c", "day/hour/d"):
        (found / name).write_bytes(SHIFT)
    return found


@pytest.fixture
def machine(tmp_path: Path, root: Path) -> Machine:
    return Machine(tmp_path, {"data": root})


def changes(machine: Machine, **options: object) -> Read:
    return read(machine.back_up(**options).data)  # type: ignore[arg-type]


def files_of(found: Read) -> set[str]:
    return {path.partition("/")[2] for path, entry in found.entries.items() if entry.kind == "file"}


def test_a_full_backup_lists_everything(machine: Machine) -> None:
    found = changes(machine)
    assert files_of(found) == {"a", "b", "day/c", "day/hour/d"}
    assert next(iter(found.entries)) == "data"
    assert found.totals.state_files == 4


def test_nothing_is_sent_of_what_did_not_change(machine: Machine) -> None:
    machine.back_up()
    found = changes(machine)
    assert (found.entries, found.deleted) == ({}, [])
    assert (found.totals.state_files, found.totals.state_bytes) == (4, 4 * len(SHIFT))
    assert found.header.parent_id == 1
    assert found.header.chain == (1, 2)


def test_changed_added_and_deleted_are_found(machine: Machine, root: Path) -> None:
    machine.back_up()
    (root / "a").write_bytes(SHIFT * 2)
    (root / "day" / "new").write_bytes(SHIFT)
    (root / "b").unlink()
    shutil.rmtree(root / "day" / "hour")
    found = changes(machine)
    assert files_of(found) == {"a", "day/new"}
    assert found.deleted == ["data/b", "data/day/hour"], "a folder is one line, whatever was in it"
    assert found.totals.state_files == 3


def test_the_same_size_and_time_do_not_hide_a_change(machine: Machine, root: Path) -> None:
    machine.back_up()
    before = (root / "a").stat()
    (root / "a").write_bytes(bytes(reversed(SHIFT)))
    os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files_of(changes(machine)) == {"a"}


def test_a_mode_alone_is_a_change(machine: Machine, root: Path) -> None:
    machine.back_up()
    (root / "a").chmod(0o600)
    assert changes(machine).entries["data/a"].mode == 0o600


def test_a_file_that_changed_a_moment_ago_is_looked_at_again(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").write_bytes(SHIFT)
    with monkeypatch.context() as patched:
        patched.setattr(scan_module, "SETTLED_NS", 10**12)
        scan(header({"data": root}), tmp_path / "one", None)
    found = scan(header({"data": root}, (1, 2)), tmp_path / "two", tmp_path / "one" / "index")
    assert found.files == 4


def test_read_all_takes_every_file_for_changed(machine: Machine) -> None:
    machine.back_up()
    found = changes(machine, read_all=True)
    assert files_of(found) == {"a", "b", "day/c", "day/hour/d"}
    assert found.deleted == []


def test_what_a_good_backup_has_not_as_it_was_comes_again(machine: Machine, root: Path, tmp_path: Path) -> None:
    machine.back_up()
    latest = machine.indexes.latest
    assert latest is not None
    found = scan(header({"data": root}, (1, 2)), tmp_path / "w", latest, redo=("data/day/c", "data"))
    assert (found.files, found.entries) == (1, 3)


def test_what_is_excluded_now_is_gone(machine: Machine, root: Path) -> None:
    (root / "day" / "x.tmp").touch()
    machine.back_up()
    found = changes(machine, exclude=("*.tmp", "day/hour", "/b", "zz/"))
    assert sorted(found.deleted) == ["data/b", "data/day/hour", "data/day/x.tmp"]


def test_a_folder_that_becomes_a_file_and_the_reverse(machine: Machine, root: Path) -> None:
    machine.back_up()
    shutil.rmtree(root / "day")
    (root / "day").write_bytes(SHIFT)
    (root / "a").unlink()
    (root / "a").mkdir()
    found = changes(machine)
    assert (found.entries["data/day"].kind, found.entries["data/a"].kind) == ("file", "dir")
    assert found.deleted == []


def test_a_source_left_out_or_missing_is_carried(machine: Machine, root: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "1.jpg").write_bytes(SHIFT)
    (images / "2.jpg").write_bytes(SHIFT)
    machine.sources["images"] = images
    machine.back_up()
    (images / "2.jpg").unlink()
    without = machine.back_up(sources=["data"])
    assert read(without.data).deleted == []
    assert without.summary.state_files == 6, "what is left out is still there"
    images.rename(tmp_path / "elsewhere")
    missing = machine.back_up()
    assert read(missing.data).deleted == []
    assert missing.summary.report.counts == {"source_missing": 1}
    assert missing.summary.state_files == 6
    (tmp_path / "elsewhere").rename(images)
    assert read(machine.back_up().data).deleted == ["images/2.jpg"]


def test_only_a_machine_without_any_source_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(NoSourcesError, match="data"):
        scan(header({"data": tmp_path / "nowhere"}), tmp_path / "w", None)


def test_a_source_without_files_is_named_and_no_files_at_all_are_counted_apart(tmp_path: Path, root: Path) -> None:
    (tmp_path / "logs" / "2026").mkdir(parents=True)
    settle(root)
    found = scan(header({"data": root, "logs": tmp_path / "logs"}), tmp_path / "one", None)
    assert [(line.path, line.code) for line in found.report.lines] == [("logs", "source_empty")]
    index = tmp_path / "one" / "index"
    again = scan(header({"data": root, "logs": tmp_path / "logs"}, (1, 2)), tmp_path / "two", index)
    assert (again.files, again.report.counts) == (0, {"source_empty": 1}), "nothing changed, and all is there"
    alone = scan(header({"logs": tmp_path / "logs"}), tmp_path / "three", None)
    assert (alone.files, alone.report.counts) == (0, {"no_files": 1})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_folder_that_cannot_be_read_is_carried(tmp_path: Path, root: Path) -> None:
    open_to_all(tmp_path)
    (tmp_path / "own").mkdir(mode=0o777)
    (tmp_path / "own").chmod(0o777)

    def first() -> None:
        assert scan(header({"data": root}), tmp_path / "own" / "one", None).files == 4

    def second() -> None:
        index = tmp_path / "own" / "one" / "index"
        found = scan(header({"data": root}, (1, 2)), tmp_path / "own" / "two", index)
        assert (found.files, found.deleted, found.state_files) == (0, 0, 4)
        assert found.report.lines[0].path == "data/day"

    settle(root)
    as_nobody(first)
    (root / "day").chmod(0)
    as_nobody(second)


def test_a_source_may_be_one_file(tmp_path: Path) -> None:
    (tmp_path / "rvm.json").write_bytes(b"{}")
    machine = Machine(tmp_path, {"agent": tmp_path / "rvm.json"})
    assert read(machine.back_up().data).contents["agent"] == b"{}"
    assert read(machine.back_up().data).entries == {}
    (tmp_path / "rvm.json").write_bytes(b"[]")
    assert read(machine.back_up().data).contents["agent"] == b"[]"


def test_a_source_may_be_reached_by_a_link(tmp_path: Path, root: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    found = scan(header({"data": tmp_path / "link"}), tmp_path / "w", None)
    assert found.files == 4


@only_root
def test_a_link_that_somebody_else_planted_is_no_source(tmp_path: Path) -> None:
    """A local user of the machine must not choose what an agent that is root sends away."""
    secret, data, other = (tmp_path / name for name in ("secret", "data", "other"))
    for folder in (secret, data, other):
        folder.mkdir()
        (folder / "x").write_bytes(folder.name.encode())
    machine = Machine(tmp_path / "backups", {"data": data, "other": other})
    machine.back_up()
    shutil.rmtree(data)
    data.symlink_to(secret)
    os.lchown(data, 65534, 65534)
    planted = machine.back_up()
    assert planted.summary.report.counts == {"source_unsafe": 1}
    assert (read(planted.data).entries, read(planted.data).deleted) == ({}, []), "what was saved of it stays"
    os.chown(secret, 65534, 65534)
    assert read(machine.back_up().data).contents["data/x"] == b"secret", "their own folder they may link to"
    os.chown(secret, 0, 0)
    os.lchown(data, 65534, 65534)
    with pytest.raises(NoSourcesError):
        scan(header({"data": data}), tmp_path / "w", None)


def test_a_chain_replayed_is_the_folder_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rounds of random changes, with folders that grow large and small again."""
    monkeypatch.setattr(walk, "LARGE", 12)
    monkeypatch.setattr(walk, "BUCKETS", 4)
    monkeypatch.setattr(scan_module, "BUCKETS", 4)
    for seed in range(4):
        dice = random.Random(seed)
        here = tmp_path / str(seed)
        root = here / "root"
        root.mkdir(parents=True)
        machine = Machine(here, {"data": root})
        archives = []
        for turn in range(8):
            shake(root, dice)
            archives.append(machine.back_up().data)
            out = here / f"out-{turn}"
            replay(out, archives)
            assert picture(out / "data") == picture(root), (seed, turn)
            kept = [entry for path, entry in picture(root).items()]
            assert read(archives[-1]).totals.state_bytes == sum(size for _, size, _, _ in kept)


def test_names_of_a_large_folder_come_in_buckets_and_stay_so(
    machine: Machine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "LARGE", 100)
    for number in range(150):
        (root / f"photo-{number}").write_bytes(SHIFT)
    machine.back_up()
    assert changes(machine).entries == {}
    for number in range(100):
        (root / f"photo-{number}").unlink()
    found = changes(machine)
    assert len(found.deleted) == 100
    assert set(found.entries) == {"data"}
    for number in range(100, 140):
        (root / f"photo-{number}").unlink()
    found = changes(machine)
    assert (len(found.deleted), set(found.entries)) == (40, {"data"})


def test_a_database_is_a_snapshot_and_its_companions_stay_out(machine: Machine, root: Path) -> None:
    database = root / "sales.db"
    with closing(sqlite3.connect(database)) as sales:
        sales.execute("PRAGMA journal_mode=WAL")
        sales.execute("CREATE TABLE bottles (n INTEGER)")
        sales.execute("INSERT INTO bottles VALUES (1)")
        sales.commit()
        found = changes(machine)
        assert found.entries["data/sales.db"].snapshot
        assert not any(name.endswith(("-wal", "-shm")) for name in found.names)
        assert changes(machine).entries == {}
        before = database.stat()
        sales.execute("INSERT INTO bottles VALUES (2)")
        sales.commit()
        assert database.stat().st_mtime_ns == before.st_mtime_ns, "only the log beside it was written"
        assert files_of(changes(machine)) == {"sales.db"}
    found = changes(machine)  # closed: the log went into the database
    assert files_of(found) == {"sales.db"}
    assert found.deleted == []


def test_what_is_named_like_a_companion_of_no_database_is_a_file(machine: Machine, root: Path) -> None:
    (root / "a-wal").write_bytes(SHIFT)
    (root / "alone-journal").write_bytes(SHIFT)
    assert {"a-wal", "alone-journal"} <= files_of(changes(machine))
    (root / "a-wal").unlink()
    assert changes(machine).deleted == ["data/a-wal"]


def test_hard_links_are_one_file_within_a_source(tmp_path: Path, root: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    os.link(root / "a", root / "z")
    os.link(root / "a", other / "a")
    found = read(Machine(tmp_path, {"data": root, "other": other}).back_up().data)
    assert found.entries["data/z"].link == "data/a"
    assert found.entries["other/a"].kind == "file", "each source is restored alone"


def test_more_hard_links_than_are_known_are_files(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "MAX_LINKED", 1)
    for name in ("a", "b"):
        os.link(root / name, root / f"{name}2")
    found = read(Machine(tmp_path, {"data": root}).back_up().data)
    assert [found.entries[f"data/{name}2"].kind for name in "ab"] == ["hardlink", "file"]


def test_a_scan_stops_when_it_is_asked_to(tmp_path: Path, root: Path) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(StoppedError):
        scan(
            header({"data": root}), tmp_path / "w", None,
            stop=lambda: len(seen) == 2, progress=lambda files, size: seen.append((files, size)),
        )  # fmt: skip
    assert seen == [(0, 0), (2, 2 * len(SHIFT))]
    assert not (tmp_path / "w" / "scan.json").exists()


def test_a_damaged_index_is_reported_and_never_believed(machine: Machine, tmp_path: Path, root: Path) -> None:
    machine.back_up()
    latest = machine.indexes.latest
    assert latest is not None
    good = latest.read_bytes()
    for wrong in (b"", b"something else", good[:-1], good[: len(good) // 2], good[:40]):
        latest.write_bytes(wrong)
        with pytest.raises(DamagedIndexError):
            scan(header({"data": root}, (1, 2)), tmp_path / "w", latest)


def test_too_many_changes_are_refused(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "MAX_ENTRIES", 3)
    with pytest.raises(ArchiveError) as refused:
        scan(header({"data": root}), tmp_path / "w", None)
    assert refused.value.code == "too_large"
    monkeypatch.undo()
    machine = Machine(tmp_path, {"data": root})
    machine.back_up()
    for path in ("a", "b", "day/c"):
        (root / path).unlink()
    monkeypatch.setattr(scan_module, "MAX_ENTRIES", 2)
    with pytest.raises(ArchiveError, match="gone"):
        machine.back_up()


def test_folders_deeper_than_an_archive_holds_are_named(tmp_path: Path, root: Path) -> None:
    deep = root / "/".join(["d"] * 130)
    deep.mkdir(parents=True)
    found = scan(header({"data": root}), tmp_path / "w", None)
    assert found.report.counts == {"too_deep": 1}
    assert found.files == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_nearly_full_disk_is_refused_with_the_figure(tmp_path: Path, root: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk, pytest.raises(NoRoomError) as refused:
        scan(header({"data": root}), disk.folder / "w", None)
    assert refused.value.needed == 64 * 1024 * 1024
    assert 0 < refused.value.free <= 8 * 1024 * 1024


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_room_is_watched_while_the_plan_is_written(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "_LOOK_EVERY", 2)
    with small_disk(tmp_path / "disk", "70m") as disk:

        def fill(_files: int, _bytes: int) -> None:
            (disk.folder / "someone-else").write_bytes(bytes(20_000_000))

        with pytest.raises(NoRoomError):
            scan(header({"data": root}), disk.folder / "w", None, progress=fill)


@pytest.mark.parametrize("language", ["en", "id"])
def test_every_code_of_a_report_has_a_text(language: str) -> None:
    house = Path(__file__).parents[3]
    texts = json.loads((house / "dashboard" / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    modules = [house / "device/backups/scan.py", house / "device/backups/walk.py", house / "archive/tar_stream.py"]
    source = "".join(module.read_text(encoding="utf-8") for module in modules)
    calls = "".join(re.findall(r"(?:_notice|report\.add)\((.*)", source))
    codes = set(re.findall(r'"([a-z_]+)"', calls))
    assert len(codes) >= 8
    assert {f"backup.report.{code}" for code in codes} <= set(texts)
