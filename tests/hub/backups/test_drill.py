"""Drills on a real store: what is restored and compared is verified, what is damaged is said, the rest waits."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import msgspec
import pytest
import pytest_asyncio

from archive import manifest
from dashboard.trouble import backup_causes
from db.backup_records import BackupRow
from db.engine.store import Store
from db.queries import backups as rows
from hub.backups.api import view
from hub.backups.rules import drill as rules
from hub.backups.rules import keep
from hub.commands import rules as command_rules
from hub.kernel.objects.folder import FolderShelf
from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import Objects, open_objects
from hub.model import actors
from hub.model.changes import Patch, move
from hub.model.views import epoch_ms, machine_view
from hub.settings import Settings
from tests.support.archives import file, folder, header, packed, tar_archive, tar_info, tar_of
from tests.support.backup_room import BackupRoom, backup_room, left_in
from tests.support.s3_server import S3Server, s3_server
from tests.support.until import until

ITEMS = [folder("app"), file("app/a", b"one"), file("app/b", b"two" * 1000)]
CHANGED = [file("app/a", b"other")]
DAYS = timedelta(days=1)


def _begins_with(plan: bytes) -> bytes:
    return packed(tar_of([(tar_info(manifest.BEGIN, "file", plan), plan)]))


def _named(path: str) -> bytes:
    info = tar_info("x", "file", b"evil")
    info.pax_headers = {"path": path}
    return packed(tar_archive(header(), (), members=[(info, b"evil")]))


POISONED = {
    "a long kind of line": _begins_with(b'{"t":"' + b"A" * 100_000 + b'"}\n'),
    "a kind of line that is NUL": _begins_with(b'{"t":"\\u0000\\u202e"}\n'),
    "NUL": _named("app/nul\0x"),
    "bytes that are no text": _named("nosource/\udcff\udc80"),
    "signs for a terminal": _named("nosource/\x1b[31m\n\u202egnp.exe"),
}
"""Archives whose words come back in the error that says what is wrong with them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest_asyncio.fixture
async def room(tmp_path: Path, sqlite_url: str) -> AsyncIterator[BackupRoom]:
    async with backup_room(tmp_path, sqlite_url, Objects(FolderShelf(tmp_path / "objects"))) as made:
        yield made


@pytest_asyncio.fixture(params=["folder", "s3"])
async def any_room(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> AsyncIterator[BackupRoom]:
    where: dict[str, object] = {"data_dir": tmp_path / "data"}
    keys = {}
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("server")
        where["object_store"] = server.url("b" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20])
        keys = {"RVM_S3_ACCESS_KEY": server.access_key, "RVM_S3_SECRET_KEY": server.secret_key}
    async with backup_room(tmp_path, database_url, open_objects(Settings.load(where, keys))) as made:
        yield made


async def test_a_chain_is_restored_compared_and_verified_and_can_be_listed(any_room: BackupRoom) -> None:
    room = any_room
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS)
    await room.add_archive(machine, 2, CHANGED, 1)
    await room.drills.turn()
    first, second = await room.row(1), await room.row(2)
    assert (first.upload_status, second.upload_status) == ("verified", "verified")
    assert second.verified_at == second.drill_at is not None
    assert [event.params["backup_id"] for event in room.events("backup.verified")] == [1, 2]
    listed = b"".join([piece async for piece in room.objects.stream(second.manifest_key or "")])
    lines = list(manifest.read([gzip.decompress(listed)]))
    assert [line.path for line in lines if isinstance(line, manifest.Entry)] == ["app/a"]
    assert left_in(room.scratch) == []
    assert room.drills.running is None
    drilled = second.drill_at
    await room.drills.turn()
    assert (await room.row(2)).drill_at == drilled, "once is enough for a week"


async def test_a_flipped_bit_is_marked_on_the_archive_and_on_what_builds_on_it(any_room: BackupRoom) -> None:
    room = any_room
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS, upload_status="verified", drill_at=room.clock())
    good = await room.add_archive(machine, 2, CHANGED, 1, upload_status="verified", drill_at=room.clock())
    data = bytearray(b"".join([piece async for piece in room.objects.stream(good.file_path or "")]))
    data[len(data) // 2] ^= 4
    bad = await room.add_archive(machine, 3, CHANGED, 1, 2, content=bytes(data), sha256=None)
    await room.add_archive(machine, 4, CHANGED, 1, 2, 3, upload_status="verified", drill_at=room.clock())
    await room.drills.turn()
    rows = [await room.row(number) for number in (1, 2, 3, 4)]
    assert [row.upload_status for row in rows] == ["verified", "verified", "completed", "completed"]
    assert rows[2].drill_error is not None
    assert rows[2].drill_error["code"] == "archive_damaged"
    assert rows[3].drill_error == rows[2].drill_error
    (event,) = room.events("backup.drill_failed")
    assert (event.params["backup_id"], event.params["damaged_id"]) == (3, bad.id)
    assert left_in(room.scratch) == []


async def test_bytes_that_are_a_good_archive_but_not_what_was_uploaded(room: BackupRoom) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS, sha256="0" * 64)
    await room.drills.turn()
    error = (await room.row(1)).drill_error
    assert error is not None
    assert "other bytes" in error["message"]


async def test_a_drill_that_takes_too_long_is_a_failed_one_that_somebody_sees(
    room: BackupRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS)
    await room.add_archive(machine, 2, CHANGED, 1)
    monkeypatch.setattr(rules, "TIME_AT_LEAST", timedelta())
    await room.drills.turn()
    for number in (1, 2):
        error = (await room.row(number)).drill_error
        assert error is not None
        assert error["code"] == "too_slow"
    assert "drill_failed" in [alert.code for alert in keep.alerts_of(machine, None, room.clock())]
    trouble = backup_causes(machine_view(machine, times="ms"), epoch_ms(room.clock()))
    assert "backup_drill" in [cause for cause, _ in trouble]
    monkeypatch.undo()
    await room.engine.announce(*rules.asked(await room.row(2), actors.CLOCK, room.clock()))
    await room.drills.turn()
    assert (await room.row(2)).upload_status == "verified", "a person had it tried again"


async def test_a_file_that_is_gone_from_the_store_is_a_failed_drill(any_room: BackupRoom) -> None:
    machine = await any_room.add_machine()
    row = await any_room.add_archive(machine, 1, ITEMS)
    await any_room.objects.delete(row.file_path or "")
    await any_room.drills.turn()
    found = await any_room.row(1)
    assert found.drill_error is not None
    assert found.upload_status == "completed"
    assert found.drill_error == {"code": "archive_damaged", "message": "the store does not have it any more"}


async def test_an_incremental_without_what_it_builds_on_is_no_backup(room: BackupRoom) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 2, CHANGED, 1)
    await room.drills.turn()
    error = (await room.row(2)).drill_error
    assert error is not None
    assert error["code"] == "wrong_chain"


async def test_an_incremental_in_a_form_is_no_damage(room: BackupRoom) -> None:
    """A simple client does not say what it builds on, and raises no alarm by that."""
    machine = await room.add_machine()
    await room.add_archive(
        machine, 2, CHANGED, 1, trigger="upload", parent_id=None, chain_id=2, chain_position=0
    )  # fmt: skip
    await room.drills.turn()
    found = await room.row(2)
    assert (found.upload_status, found.drill_error) == ("completed", None)
    assert found.drill_at is not None
    assert room.events("backup.drill_failed") == []


async def test_a_store_that_is_away_says_nothing_and_is_asked_again(
    room: BackupRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS)

    async def away(*_: object) -> None:
        raise ObjectsError("away")

    with monkeypatch.context() as patched:
        patched.setattr(room.objects, "put_file", away)
        with pytest.raises(ObjectsError):
            await room.drills.turn()
    assert (await room.row(1)).drill_at is None
    await room.drills.turn()
    assert (await room.row(1)).upload_status == "verified"


async def test_too_little_room_here_is_the_machines_drill(room: BackupRoom) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS)
    drills = room.new_drills(room=100)
    await drills.turn()
    (command,) = machine.pending.values()
    assert (command.name, command.args, command.issued_by) == ("verify_backup", {"backup_id": 1}, "clock")
    await drills.turn()
    assert len(machine.pending) == 1, "it is asked once"


async def test_what_the_hub_cannot_read_is_drilled_by_its_machine(room: BackupRoom) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS, encrypted=True, content=b"age-encryption.org/v1 ...")
    machine.linked = False
    await room.drills.turn()
    assert not machine.pending, "which is not there"
    machine.linked = True
    await room.drills.turn()
    (command,) = machine.pending.values()
    await room.engine.announce(move(command, state="succeeded", result={"files": 3, "bytes": 3003}))
    await room.drills.turn()
    row = await room.row(1)
    assert (row.upload_status, row.manifest_key) == ("verified", None)
    (event,) = room.events("backup.verified")
    assert (event.actor, event.params) == (actors.machine(machine.id), {"backup_id": 1, "files": 3, "bytes": 3003})


@pytest.mark.parametrize("happens", ["gone", "cut", "changed"])
async def test_what_the_store_has_lost_of_an_encrypted_chain_is_a_failed_drill(
    any_room: BackupRoom, tmp_path: Path, happens: str
) -> None:
    """Its machine can only say that it got no archive, or that something is wrong in the chain."""
    machine = await any_room.add_machine()
    for number in (1, 2, 3):
        await any_room.add_archive(machine, number, ITEMS, *range(1, number), encrypted=True)
        await any_room.drills.turn()
        (command,) = machine.pending.values()
        await any_room.engine.announce(move(command, state="succeeded", result={"files": 3, "bytes": 3003}))
        await any_room.drills.turn()
    key = (await any_room.row(2)).file_path or ""
    data = b"".join([piece async for piece in any_room.objects.stream(key)])
    await any_room.objects.delete(key)
    if happens != "gone":
        data = data[:-5] if happens == "cut" else data[:-1] + bytes([data[-1] ^ 1])
        (tmp_path / "other").write_bytes(data)
        await any_room.objects.put_file(key, tmp_path / "other", hashlib.sha256(data).hexdigest())
    drafted = command_rules.draft(machine, "verify_backup", {"backup_id": 3}, "user:1", any_room.clock())
    await any_room.engine.announce(*drafted)
    (command,) = machine.pending.values()
    code = "archive_damaged" if happens == "changed" else "hub_refused"
    await any_room.engine.announce(move(command, state="failed", error={"code": code, "message": "HTTP 409"}))
    await any_room.drills.turn()
    rows = [await any_room.row(number) for number in (1, 2, 3)]
    assert [row.upload_status for row in rows] == ["verified", "completed", "completed"]
    assert [(row.drill_error or {}).get("code") for row in rows] == [None, "archive_damaged", "archive_damaged"]


async def test_a_machine_that_cannot_check_is_asked_again_a_day_later(room: BackupRoom) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS, encrypted=True)
    await room.drills.turn()
    (command,) = machine.pending.values()
    await room.engine.announce(move(command, state="failed", error={"code": "disk_full", "message": "1 MB free"}))
    await room.drills.turn()
    row = await room.row(1)
    assert (row.upload_status, row.drill_error, machine.pending) == ("completed", None, {})
    room.ahead = 1.5 * DAYS
    await room.drills.turn()
    assert len(machine.pending) == 1


async def test_another_machines_word_about_a_backup_counts_for_nothing(room: BackupRoom) -> None:
    machine, stranger = await room.add_machine(), await room.add_machine("Stranger")
    await room.add_archive(machine, 1, ITEMS, encrypted=True)
    machine.linked = False
    drafted = command_rules.draft(stranger, "verify_backup", {"backup_id": 1}, "user:1", room.clock())
    await room.engine.announce(*drafted)
    (command,) = stranger.pending.values()
    await room.engine.announce(move(command, state="succeeded", result={"files": 3}))
    await room.drills.turn()
    assert (await room.row(1)).upload_status == "completed"


async def test_one_backup_a_week_is_drilled_again_by_chance(room: BackupRoom) -> None:
    machine = await room.add_machine()
    await room.add_archive(machine, 1, ITEMS)
    await room.drills.turn()
    first = len(room.events("backup.verified"))
    room.ahead = 6 * DAYS
    await room.drills.turn()
    assert len(room.events("backup.verified")) == first
    room.ahead = 8 * DAYS
    await room.new_drills().turn()
    assert len(room.events("backup.verified")) == first + 1
    asked = room.events("backup.verify_asked")
    assert asked[-1].actor == "clock"


async def test_a_backup_that_is_deleted_while_it_is_drilled_stays_deleted(
    room: BackupRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await room.add_machine()
    row = await room.add_archive(machine, 1, ITEMS)
    put_file = room.objects.put_file

    async def late(key: str, path: Path, sha256: str) -> None:
        where = (("rvm_id", "=", machine.id),)
        await room.engine.announce(Patch(type(row), 1, {"deleted_at": room.clock()}, where=where))
        await put_file(key, path, sha256)

    monkeypatch.setattr(room.objects, "put_file", late)
    await room.drills.turn()
    found = await room.row(1)
    assert (found.upload_status, found.verified_at) == ("completed", None)
    assert room.events("backup.verified") == []


@pytest.mark.parametrize("after", ["a drill", "a deletion"])
async def test_what_is_deleted_while_the_good_ones_are_read_stays_deleted(
    room: BackupRoom, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """What was read before comes late: a row of it must not replace the deletion in memory."""
    machine = await room.add_machine()
    first = await room.add_archive(machine, 1, ITEMS, upload_status="verified", drill_at=room.clock())
    last = await room.add_archive(machine, 3, CHANGED, 2)  # its drill fails at once: what it builds on is not there
    read = rows.kept

    async def slow(store: Store, rvm_id: int) -> list[BackupRow]:
        found = await read(store, rvm_id)
        if (await room.row(last.id)).drill_at is not None or (await room.row(last.id)).deleted_at is not None:
            monkeypatch.setattr(rows, "kept", read)
            await room.backups.delete(first, actors.CLOCK)
            if after == "a drill":
                await room.backups.delete(last, actors.CLOCK)
        return found

    monkeypatch.setattr(rows, "kept", slow)
    await (room.drills.turn() if after == "a drill" else room.backups.delete(last, actors.CLOCK))
    assert rows.kept is read, "the deletion came in between"
    assert [row.id for row in machine.backups.values() if row.deleted_at is None] == []
    assert await rows.kept(room.engine.store, machine.id) == []


async def test_its_task_looks_when_a_backup_is_whole_and_cleans_up_first(room: BackupRoom) -> None:
    machine = await room.add_machine()
    left = room.scratch / "check-of-a-killed-hub" / "tree"
    left.mkdir(parents=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.drills.run)
        await room.add_archive(machine, 1, ITEMS)
        await until(lambda: room.events("backup.verified"))
        tasks.cancel_scope.cancel()
    assert left_in(room.scratch) == []


@pytest.mark.parametrize("name", POISONED)
async def test_what_an_archive_says_of_itself_is_stored_and_shown_whatever_it_is(
    any_room: BackupRoom, name: str
) -> None:
    machine = await any_room.add_machine()
    await any_room.add_archive(machine, 1, ITEMS, content=POISONED[name])
    await any_room.add_archive(machine, 2, ITEMS)
    await any_room.drills.turn()
    row = await any_room.row(1)
    assert row.upload_status == "completed"
    assert row.drill_error is not None
    assert row.drill_error["message"].isprintable()
    assert msgspec.json.encode(view(row))
    (event,) = any_room.events("backup.drill_failed")
    assert msgspec.json.encode(event.params)
    assert (await any_room.row(2)).upload_status == "verified", "the next one is drilled as ever"
