"""Snapshots of databases while their own programs write them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from device.backups import snapshots
from device.backups.snapshots import snapshot
from tests.support.backup_archives import Machine, read
from tests.support.small_disk import small_disk

_WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
while True:
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE totals SET n = n + 1")
    database.execute("INSERT INTO bottles SELECT n, randomblob(2000) FROM totals")
    database.execute("COMMIT")
    print("one", flush=True)
"""


@pytest.fixture(params=["wal", "delete"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "root" / "sales.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA journal_mode={request.param}")
        made.execute("CREATE TABLE totals (n INTEGER)")
        made.execute("CREATE TABLE bottles (n INTEGER, photo BLOB)")
        made.execute("INSERT INTO totals VALUES (0)")
        made.executemany("INSERT INTO bottles VALUES (0, randomblob(?))", [(10_000,)] * 1500)
        made.commit()
    return path


def consistent(copy: Path) -> int:
    """How many transactions are in it; each is there whole or not at all."""
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (total,) = opened.execute("SELECT n FROM totals").fetchone()
        (rows,) = opened.execute("SELECT count(*) FROM bottles WHERE n > 0").fetchone()
    assert rows == total
    return int(total)


def test_a_snapshot_is_consistent_while_its_program_writes(database: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, database], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        try:
            seen = []
            for number in range(3):
                writer.stdout.readline()
                assert snapshot(database, tmp_path / f"copy-{number}") == ""
                seen.append(consistent(tmp_path / f"copy-{number}"))
        finally:
            writer.kill()
    assert seen[0] > 0
    assert seen == sorted(seen)


def test_an_archive_holds_a_consistent_database(database: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, database], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        try:
            writer.stdout.readline()
            made = Machine(tmp_path, {"data": database.parent}).back_up()
        finally:
            writer.kill()
    found = read(made.data)
    assert found.entries["data/sales.db"].snapshot
    assert found.entries["data/sales.db"].mark is None
    (tmp_path / "restored.db").write_bytes(found.contents["data/sales.db"])
    assert consistent(tmp_path / "restored.db") > 0
    assert set(found.entries) == {"data", "data/sales.db"}


def test_a_locked_database_is_named_as_locked(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "BUSY_S", 0.0)
    with closing(sqlite3.connect(database, isolation_level=None)) as held:
        held.execute("PRAGMA locking_mode=EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")
        held.execute("UPDATE totals SET n = n")
        assert "lock" in snapshot(database, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_is_no_database_is_read_as_it_is(tmp_path: Path) -> None:
    broken = tmp_path / "root" / "broken.db"
    broken.parent.mkdir()
    broken.write_bytes(b"SQLite format 3\0" + b"but not really" * 100)
    made = Machine(tmp_path, {"data": broken.parent}).back_up()
    found = read(made.data)
    assert found.contents["data/broken.db"] == broken.read_bytes()
    assert made.summary.report.counts == {"snapshot_failed": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_without_room_a_database_is_left_out_and_named(database: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "70m") as disk:
        made = Machine(disk.folder, {"data": database.parent}).back_up()
    found = read(made.data)
    assert found.entries["data/sales.db"].mark == "unreadable"
    assert "no room" in made.summary.report.lines[0].text


def test_nothing_is_left_beside_a_copy(database: Path, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    assert snapshot(database, tmp_path / "w" / "copy") == ""
    assert [file.name for file in (tmp_path / "w").iterdir()] == ["copy"]
    assert (tmp_path / "w" / "copy").stat().st_mode & 0o777 == 0o600
