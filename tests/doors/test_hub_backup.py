"""`backup` and `restore` of the hub itself: into an empty hub of either database, and all that must be refused."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from db.backup_records import BACKUP_COUNTER, BackupRow, RestoreRow
from db.engine.row_writes import insert
from db.engine.store import open_store
from db.queries import backups
from db.records import CounterRow
from hub.cli import hub_backup
from hub.cli.backup_file import MANIFEST, SEAL, BackupFileError, BackupReader, BackupWriter, scratch_folder
from hub.cli.output import Exit
from hub.settings import LAST_BACKUP, Settings
from tests.doors.conftest import Cli, Said, places
from tests.support.door_process import REPOSITORY, DoorProcess

PASSWORD = "correct horse battery\n"


@pytest.fixture
def backup(cli: Cli, tmp_path: Path) -> Path:
    """Of a hub with a machine and an administrator."""
    filled(cli)
    path = tmp_path / "hub.tar"
    assert cli("backup", path).code == 0
    return path


def filled(cli: Cli, *more: object) -> None:
    assert cli("machine", "add", "RVM-001 Gambir", "--device-id", "gambir-1", *more).code == 0
    assert (
        cli("user", "add", "boss@example.com", "--role", "admin", "--password-file", "-", *more, stdin=PASSWORD).code
        == 0
    )
    assert cli("token", "create", "reports", "--user", "boss@example.com", *more).code == 0
    assert cli("link", "boss@example.com", *more).code == 0


@pytest.fixture(params=["sqlite", "postgresql"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[object]]:
    yield from places(request.param, "there", request, tmp_path)


def error_of(said: Said) -> tuple[int, str]:
    """Its exit code and its stable code."""
    return said.code, json.loads(said.err)["error"]["code"]


def test_an_empty_hub_becomes_the_one_that_was_backed_up(
    cli: Cli, here: list[object], there: list[object], tmp_path: Path
) -> None:
    filled(cli, *here)
    path = tmp_path / "hub.tar"
    made = json.loads(cli("backup", path, "--json", *here).out)
    assert (made["file"], made["bytes"], made["objects"]) == (str(path), path.stat().st_size, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    said = cli("restore", path, "--json", *there)
    assert said.code == 0, said.err
    restored = json.loads(said.out)
    assert (restored["rows"], restored["restored"], restored["missing_objects"]) == (made["rows"], True, [])
    for verb in (["machine", "list"], ["user", "list"], ["token", "list"]):
        assert cli(*verb, "--json", *there).out == cli(*verb, "--json", *here).out
    assert cli("machine", "add", "RVM-002", *there).code == 0
    again = json.loads(cli("backup", tmp_path / "again.tar", "--json", *there).out)
    assert again["rows"] == made["rows"] + 5, "the restore's event and counter, and a machine with what belongs to it"


def test_what_opens_a_door_once_is_left_out_and_the_audit_log_has_both(cli: Cli, backup: Path, tmp_path: Path) -> None:
    assert {"tables/sessions.gz", "tables/sign_in_links.gz"}.isdisjoint(BackupReader(backup).manifest.members)
    assert cli("restore", backup, "--data-dir", tmp_path / "there").code == 0
    with sqlite3.connect(tmp_path / "data" / "hub.sqlite3") as database:
        assert database.execute("SELECT code, actor FROM events ORDER BY id DESC LIMIT 1").fetchone() == (
            "hub.backed_up", "system",
        )  # fmt: skip
        assert database.execute("SELECT count(*) FROM sign_in_links").fetchone() == (1,)
    with sqlite3.connect(tmp_path / "there" / "hub.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM sign_in_links").fetchone() == (0,)
        assert database.execute("SELECT code FROM events ORDER BY id DESC LIMIT 1").fetchone() == ("hub.restored",)


def test_a_hub_that_runs_is_backed_up_and_never_restored_over(
    cli: Cli, backup: Path, data: Path, tmp_path: Path, start_hub: Callable[..., DoorProcess]
) -> None:
    hub = start_hub("--port", "0", RVM_DATA_DIR=str(data))
    hub.wait_for("http://")
    beside = tmp_path / "beside.tar"
    assert cli("backup", beside).code == 0
    assert BackupReader(beside).manifest.rows > BackupReader(backup).manifest.rows
    assert error_of(cli("restore", backup, "--json")) == (Exit.CONFLICT, "in_use")
    other = ["--database-url", f"sqlite:///{tmp_path}/other.sqlite3"]
    assert error_of(cli("restore", backup, "--json", *other)) == (Exit.CONFLICT, "in_use")
    assert not (tmp_path / "other.sqlite3").exists()


def test_a_hub_restored_from_a_backup_starts(
    cli: Cli, backup: Path, tmp_path: Path, start_hub: Callable[..., DoorProcess]
) -> None:
    there = tmp_path / "there"
    assert cli("restore", backup, "--data-dir", there).code == 0
    assert (there / "hub.sqlite3").stat().st_mode & 0o077 == 0
    start_hub("--port", "0", RVM_DATA_DIR=str(there)).wait_for("http://")


def test_numbers_that_were_given_after_the_copy_never_come_again(
    cli: Cli, here: list[object], there: list[object], tmp_path: Path
) -> None:
    filled(cli, *here)
    path = tmp_path / "hub.tar"
    assert cli("backup", path, *here).code == 0
    given = asyncio.run(numbered(here))
    command = [sys.executable, "run_hub.py", "restore", str(path), *map(str, there)]
    environment = {**os.environ, "RVM_BOOTSTRAP": "off"}
    said = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    again = asyncio.run(numbered(there))
    assert [min(later) > max(early) for early, later in zip(given, again, strict=True)] == [True, True]


async def numbered(place: list[object]) -> tuple[list[int], list[int]]:
    """What a hub there numbers: five backups, and a restore of each."""
    flags = dict(zip(place[::2], place[1::2], strict=True))
    given = {str(name).removeprefix("--").replace("-", "_"): value for name, value in flags.items()}
    store = await open_store(Settings.load(given, {}).database_url)
    found: tuple[list[int], list[int]] = [], []
    moment = datetime.now(timezone.utc)
    try:
        for _ in range(5):
            number = await backups.last_id(store) + 1
            row = BackupRow(id=number, rvm_id=1, backup_type="full", created_at=moment)
            restore = RestoreRow(
                rvm_id=1, backup_id=number, state="succeeded", dry_run=True, requested_by="user:1", created_at=moment
            )
            counted = insert(CounterRow(name=BACKUP_COUNTER, value=number), over=("value",))
            made = await store.write(insert(row), counted, insert(restore))
            found[0].append(number)
            found[1].append(int(made[-1].rows[0]["id"]))
    finally:
        await store.close()
    return found


def test_a_database_that_is_not_empty_is_left_alone(cli: Cli, backup: Path, data: Path) -> None:
    before = (data / "hub.sqlite3").read_bytes()
    assert error_of(cli("restore", backup, "--json")) == (Exit.CONFLICT, "not_empty")
    assert (data / "hub.sqlite3").read_bytes() == before


def test_a_dry_run_changes_nothing(cli: Cli, backup: Path, tmp_path: Path) -> None:
    shown = json.loads(cli("restore", backup, "--dry-run", "--json", "--data-dir", tmp_path / "there").out)
    assert (shown["restored"], shown["rows"]) == (False, BackupReader(backup).manifest.rows)
    assert not (tmp_path / "there").exists()


def test_a_backup_is_never_written_over_and_leaves_no_half_file(
    cli: Cli, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = backup.read_bytes()
    assert error_of(cli("backup", backup, "--json")) == (Exit.CONFLICT, "file_exists")
    assert backup.read_bytes() == before
    assert error_of(cli("backup", tmp_path / "none" / "x.tar", "--json")) == (Exit.CONFIGURATION, "file_unusable")
    assert f"{tmp_path / 'none'} cannot be used: No such file or directory" in cli("backup", tmp_path / "none/x").err
    monkeypatch.setattr(hub_backup, "SPARE_BYTES", 1 << 60)
    said = cli("backup", tmp_path / "x.tar")
    assert (said.code, "MB" in said.err) == (Exit.FAILED, True)
    monkeypatch.undo()

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("RVM_LANG", "en")
    monkeypatch.setenv("RVM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(BackupWriter, "finish", broken)
    assert "No space left" in cli("backup", tmp_path / "x.tar").err
    assert {path.name for path in tmp_path.iterdir()} == {"data", "hub.tar"}


KILLED = """
import os, signal, sys
from hub.cli.backup_file import BackupWriter
from hub.cli import main
BackupWriter.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main.run(main.read(sys.argv[1:]), main)
"""


def test_what_a_killed_backup_leaves_is_hidden_and_the_next_one_removes_it(
    cli: Cli, backup: Path, data: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", KILLED, "backup", str(tmp_path / "x.tar"), "--data-dir", str(data)]
    assert subprocess.run(words, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(".myrvm-backup-*")
    assert left.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"data", "hub.tar", left.name}
    with scratch_folder(tmp_path) as used:
        assert not left.exists()
        assert cli("backup", tmp_path / "x.tar").code == 0
        assert used.exists(), "another backup's that runs"
    assert {path.name for path in tmp_path.iterdir()} == {"data", "hub.tar", "x.tar"}


def test_where_no_hub_is_there_is_nothing_to_back_up(cli: Cli, tmp_path: Path) -> None:
    assert error_of(cli("backup", tmp_path / "x.tar", "--json")) == (Exit.CONFIGURATION, "no_database")
    assert not (tmp_path / "x.tar").exists()


def test_any_byte_that_changed_and_any_end_that_is_missing_is_found_before_anything_is_done(
    cli: Cli, backup: Path, tmp_path: Path
) -> None:
    data = backup.read_bytes()
    damaged = tmp_path / "damaged.tar"
    for at in range(600, len(data) - 1024, len(data) // 40):
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        if is_padding(data, at):
            continue
        with pytest.raises(BackupFileError):
            BackupReader(damaged)
    for length in (0, 511, 512, 5000, len(data) // 2, len(data) - 3000):
        damaged.write_bytes(data[:length])
        with pytest.raises(BackupFileError):
            BackupReader(damaged)
    assert error_of(cli("restore", damaged, "--json", "--data-dir", tmp_path / "there")) == (
        Exit.CONFIGURATION, "backup_damaged",
    )  # fmt: skip
    assert not (tmp_path / "there").exists()


def is_padding(data: bytes, at: int) -> bool:
    """Between members, or in a header where tar looks at nothing."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return not any(member.offset_data <= at < member.offset_data + member.size for member in tar)


def rewritten(backup: Path, path: Path, **members: object) -> Path:
    """A whole file whose manifest says something else."""
    import hashlib

    with tarfile.open(backup) as old, path.open("wb") as file:
        writer = BackupWriter(file, 0)
        for member in old:
            data = old.extractfile(member).read()  # type: ignore[union-attr]
            if member.name == MANIFEST:
                data = manifest = json.dumps(json.loads(data) | members).encode()
            if member.name == SEAL:
                data = hashlib.sha256(manifest).hexdigest().encode()
            writer.plain(member.name, data)
    return path


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"format": 2}, "backup_newer"),
        ({"schema": "0999"}, "schema_newer_schema"),
        ({"schema": "0001; DROP"}, "schema_older"),
        ({"tables": [{"name": 'x"; DROP', "columns": [], "rows": 1}]}, "backup_damaged"),
        ({"tables": 7}, "backup_damaged"),
        ({"last_ids": None}, "backup_damaged"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    cli: Cli, backup: Path, tmp_path: Path, members: dict[str, object], code: str
) -> None:
    path = rewritten(backup, tmp_path / "other.tar", **members)
    said = cli("restore", path, "--json", "--data-dir", tmp_path / "there")
    assert error_of(said) == (Exit.CONFIGURATION, code)
    assert not (tmp_path / "there").exists()


def test_rows_that_are_missing_leave_the_database_empty(cli: Cli, backup: Path, tmp_path: Path) -> None:
    tables = json.loads(BackupReader(backup).plain(MANIFEST))["tables"]
    tables[-1]["rows"] += 1
    path = rewritten(backup, tmp_path / "other.tar", tables=tables)
    there = tmp_path / "there"
    assert error_of(cli("restore", path, "--json", "--data-dir", there)) == (Exit.CONFIGURATION, "backup_damaged")
    assert not list(there.glob("hub.sqlite3*restoring*"))
    assert not (there / "hub.sqlite3").exists()
    assert cli("restore", backup, "--data-dir", there).code == 0


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b" + bytes(2000)])
def test_another_file_is_no_backup_of_a_hub(cli: Cli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    said = cli("restore", path, "--json", "--data-dir", tmp_path / "there")
    assert error_of(said) == (Exit.CONFIGURATION, "backup_foreign")


def test_a_machines_archive_differs_from_a_hubs(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "machine.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(".myrvm/manifest-begin.jsonl"))
    said = cli("restore", path, "--data-dir", tmp_path / "there")
    assert said.code == Exit.CONFIGURATION
    assert "run_device.py restore" in said.err


def test_settings_are_in_it_without_secrets_and_what_differs_is_shown(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(cli)
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"):
        monkeypatch.setenv(f"RVM_{name}", "hidden-canary")
    monkeypatch.setenv("RVM_PUBLIC_URL", "https://rvm.example.com")
    path = tmp_path / "hub.tar"
    assert cli("backup", path).code == 0
    settings = json.loads(BackupReader(path).plain("settings.json"))
    assert settings["public_url"] == "https://rvm.example.com"
    assert "hidden-canary" not in str(settings)
    monkeypatch.delenv("RVM_PUBLIC_URL")
    said = cli("restore", path, "--data-dir", tmp_path / "there")
    assert "public_url = https://rvm.example.com" in said.err
    assert "object_store" not in said.err, "the default store goes with the data folder"


def test_objects_that_the_store_has_not_are_named(cli: Cli, data: Path, tmp_path: Path) -> None:
    filled(cli)
    with sqlite3.connect(data / "hub.sqlite3") as database:
        for number in (1, 2):
            database.execute(
                "INSERT INTO remote_recordings (session_id, rvm_id, machine_name, user_id, user_name, state,"
                " started_at, input_recorded, cols, rows, size, sha256, object_key) VALUES (1, 1, 'x', 1, 'x',"
                f" 'stored', 0, 0, 80, 24, 5, 'x', 'recordings/2026-01/{number}.cast')"
            )
    (data / "recordings").mkdir()
    (data / "recordings" / "3.cast").write_text("{}")
    path = tmp_path / "hub.tar"
    said = cli("backup", path)
    assert "1 recording of" in said.err
    store = tmp_path / "there" / "objects" / "recordings" / "2026-01"
    store.mkdir(parents=True)
    (store / "1.cast").write_text("12345")
    said = cli("restore", path, "--data-dir", tmp_path / "there")
    assert said.code == 0
    assert "1 of 2 objects" in said.err
    assert "recordings/2026-01/2.cast" in said.err


def test_a_backup_that_cannot_be_noted_is_one_all_the_same(cli: Cli, backup: Path, data: Path, tmp_path: Path) -> None:
    (data / LAST_BACKUP).unlink()
    (data / LAST_BACKUP).mkdir()
    said = cli("backup", tmp_path / "2.tar")
    assert (said.code, "could not note" in said.err) == (0, True)
    assert BackupReader(tmp_path / "2.tar").manifest.rows


def test_both_languages(cli: Cli, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    assert "Cadangan dibuat" in cli("backup", tmp_path / "2.tar").out
    assert "utuh" in cli("restore", backup, "--dry-run").out
    assert "sudah berisi tabel hub" in cli("restore", backup).err


def test_doctor_knows_the_last_one(cli: Cli, backup: Path, data: Path) -> None:
    def found() -> dict[str, str]:
        checks = json.loads(cli("doctor", "--port", "0", "--json").out)["checks"]
        return next(check for check in checks if check["name"] == "backup")

    assert (found()["verdict"], str(backup) in found()["detail"]) == ("ok", True)
    note = json.loads((data / LAST_BACKUP).read_text())
    assert (data / LAST_BACKUP).stat().st_mode & 0o077 == 0
    (data / LAST_BACKUP).write_text(json.dumps(note | {"made_at": "2026-01-01T00:00:00Z"}))
    assert found()["verdict"] == "warn"
    (data / LAST_BACKUP).unlink()
    assert (found()["verdict"], "run_hub.py backup" in found()["fix"]) == ("warn", True)
