"""A recording from its first line to the object store: what is said when, and what a full disk, a database or a store
that is away do to it.
"""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio

from db.errors import Unavailable
from hub.kernel.objects.place import ObjectsError
from hub.model import actors
from hub.model.changes import Change, EventHappened, Put
from hub.remote.recordings import file as recording_file
from hub.remote.recordings.file import Quota, RecordingFailedError, RecordingFile
from hub.remote.recordings.service import RecordingKeeper
from tests.support.recording_room import RecordingRoom, recording_room
from tests.support.until import until


@pytest_asyncio.fixture
async def room(tmp_path: Path, sqlite_url: str) -> AsyncIterator[RecordingRoom]:
    async with recording_room(tmp_path, sqlite_url) as made:
        yield made


@pytest_asyncio.fixture
async def any_room(tmp_path: Path, database_url: str) -> AsyncIterator[RecordingRoom]:
    async with recording_room(tmp_path, database_url) as made:
        yield made


async def test_a_terminal_is_on_record_with_its_first_byte_and_carried_to_the_store(any_room: RecordingRoom) -> None:
    room = any_room
    recording = await room.begin()
    began, line = room.said
    assert isinstance(began, Put)
    assert isinstance(line, EventHappened)
    assert (line.code, line.actor, line.rvm_id) == ("remote.terminal_opened", "user:3", 1)
    assert (await room.row(recording.id)).state == "recording"
    recording.file.output(b"hello")
    recording.typed(b"secret")
    await room.recordings.finish(recording, "exited")
    row = await room.row(recording.id)
    assert (row.state, row.end_reason, row.size) == ("waiting", "exited", room.path(recording.id).stat().st_size)
    assert room.path(recording.id).stat().st_mode & 0o077 == 0
    await room.keeper.work_off()
    row = await room.row(recording.id)
    assert row.state == "stored"
    assert not room.path(recording.id).exists(), "the store has given it back once"
    lines = [json.loads(text) for text in (room.shelf_folder / str(row.object_key)).read_text().splitlines()]
    assert [event[1:] for event in lines[1:]] == [["o", "hello"]]


async def test_a_store_that_is_away_loses_nothing_and_is_tried_again(room: RecordingRoom) -> None:
    recording = await room.recorded(b"kept")
    room.shelf.away = True
    with pytest.raises(ObjectsError):
        await room.keeper.work_off()
    assert (await room.row(recording.id)).state == "waiting"
    assert b"kept" in room.path(recording.id).read_bytes()
    room.shelf.away = False
    await room.keeper.work_off()
    assert (await room.row(recording.id)).state == "stored"


async def test_the_keeper_tries_again_by_itself_while_the_store_is_away_and_says_it_twice(
    room: RecordingRoom, caplog: pytest.LogCaptureFixture
) -> None:
    recording = await room.recorded(b"kept")
    tries = 0
    objects: Any = room.recordings.objects
    whole = objects.put_file

    async def counted(key: str, path: Path, sha256: str) -> None:
        nonlocal tries
        tries += 1
        await whole(key, path, sha256)

    objects.put_file = counted
    room.shelf.away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.keeper.run)
        await until(lambda: tries > 3)
        room.shelf.away = False
        await until(lambda: not room.path(recording.id).exists())
        tries, again = 0, await room.recorded(b"the next one wakes it")
        await until(lambda: not room.path(again.id).exists())
        tasks.cancel_scope.cancel()
    assert tries == 1
    assert [message.partition(":")[0] for message in caplog.messages] == ["recordings"] * 2


async def test_an_end_that_the_database_could_not_take_is_recorded_later(
    room: RecordingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await room.begin()
    announce = room.recordings.announce

    async def away(*_: Change) -> list[Change]:
        raise Unavailable("away")

    monkeypatch.setattr(room.recordings, "announce", away)
    await room.recordings.finish(recording, "exited")
    monkeypatch.setattr(room.recordings, "announce", announce)
    assert (await room.row(recording.id)).state == "recording"
    await room.keeper.work_off()
    row = await room.row(recording.id)
    assert (row.state, row.end_reason) == ("stored", "exited")


async def test_what_a_killed_hub_left_is_cut_to_whole_lines_and_kept(room: RecordingRoom) -> None:
    recording = await room.begin()
    with room.path(recording.id).open("ab") as file:
        file.write(b'[1.5,"o","seen"]\n[2.0,"o","ha')
    room.days = 1
    room.restart()
    await room.keeper.work_off()
    row = await room.row(recording.id)
    assert (row.state, row.end_reason, row.duration_s) == ("stored", "hub_restarted", 1.5)
    assert (room.shelf_folder / str(row.object_key)).read_bytes().endswith(b'"seen"]\n')


async def test_a_terminal_that_is_open_is_left_alone(room: RecordingRoom) -> None:
    recording = await room.begin()
    await room.keeper.work_off()
    assert (await room.row(recording.id)).state == "recording"


@pytest.mark.parametrize("what", ["gone", "changed"])
async def test_a_file_that_somebody_touched_is_reported_as_lost(room: RecordingRoom, what: str) -> None:
    recording = await room.recorded(b"x")
    path = room.path(recording.id)
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"more")
    await room.keeper.work_off()
    assert (await room.row(recording.id)).state == "lost"
    assert [event.params["recording_id"] for event in room.events("recording.lost")] == [recording.id]


async def test_what_is_old_enough_is_deleted_with_its_bytes_and_a_line(room: RecordingRoom) -> None:
    recording = await room.recorded(b"x")
    await room.keeper.work_off()
    key = (await room.row(recording.id)).object_key
    await RecordingKeeper(room.recordings, 1).work_off()
    assert (room.shelf_folder / str(key)).exists(), "younger than a day"
    room.days = 2
    await RecordingKeeper(room.recordings, 1).work_off()
    assert await room.find(recording.id) is None
    assert not (room.shelf_folder / str(key)).exists()
    (event,) = room.events("recording.deleted")
    assert (event.actor, event.params["why"]) == (actors.CLOCK, "retention")


async def test_what_a_killed_hub_had_begun_to_store_is_swept_after_a_day_and_nobody_elses(room: RecordingRoom) -> None:
    room.shelf.begin("recordings/2026-01/1-x.cast")
    room.shelf.begin("backups/1/b.tar")

    async def swept() -> list[str]:
        await room.keeper.work_off()
        return [upload.key for upload in room.shelf.uploads("")]

    assert len(await swept()) == 2
    room.days = 2
    assert await swept() == ["backups/1/b.tar"]


async def test_a_full_disk_lets_no_terminal_begin(room: RecordingRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_file, "_append", full)
    with pytest.raises(RecordingFailedError, match="No space left"):
        await room.begin()
    monkeypatch.undo()
    await room.keeper.work_off()
    assert [row.state for row in await room.rows()] == ["lost"]


async def test_a_disk_that_fills_up_ends_the_recording_and_keeps_what_there_is(
    room: RecordingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await room.begin()
    recording.file.output(b"before")
    await recording.file._write()
    with monkeypatch.context() as patched:
        patched.setattr(recording_file, "_append", full)
        recording.file.output(b"after")
        with pytest.raises(RecordingFailedError) as failed:
            await recording.file.run()
        assert failed.value.code == "recording_failed"
        with pytest.raises(RecordingFailedError):
            await recording.file.room()
        await room.recordings.finish(recording, "recording_failed")
    await room.keeper.work_off()
    row = await room.row(recording.id)
    assert (row.state, row.end_reason) == ("stored", "recording_failed")
    assert b"before" in (room.shelf_folder / str(row.object_key)).read_bytes()


async def test_one_that_is_too_long_ends_and_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_file, "MOST", 100)
    file = RecordingFile(tmp_path / "r" / "1.cast", b'{"version":2}\n', Quota(10**6))
    file.path.parent.mkdir()
    await file.begin()
    file.output(b"x" * 200)
    with pytest.raises(RecordingFailedError) as failed:
        await file.run()
    assert failed.value.code == "recording_full"
    done = await file.finish()
    assert done.size == file.path.stat().st_size > 100


async def test_the_recordings_of_a_machine_share_a_quota_and_one_beyond_it_does_not_begin(room: RecordingRoom) -> None:
    await room.recorded(b"x" * 1000)
    taken = sum(int(row.size or 0) for row in await room.rows())
    assert taken > 1000
    room.recordings._bytes_per_machine = taken + 3000
    one, two = await room.begin(), await room.begin()
    assert (one.file._quota is two.file._quota, one.file._quota.left) == (True, 3000)
    for recording in (one, two):
        recording.file.output(b"y" * 2000)
    await one.file._write()
    with pytest.raises(RecordingFailedError) as refused:
        await two.file._write()
    assert refused.value.code == "recording_full"
    for recording in (one, two):
        await room.recordings.finish(recording, "recording_full")
    rows_before = len(await room.rows())
    with pytest.raises(RecordingFailedError) as beyond:
        await room.begin()
    assert (beyond.value.code, len(await room.rows())) == ("recording_full", rows_before)
    assert room.recordings._quotas == {}
    for row in await room.rows():
        await room.recordings.delete(row, "system")
    await room.recordings.finish(await room.begin(), "exited")
    assert room.recordings._quotas == {}


async def test_recordings_leave_the_hubs_disk_room_to_go_on(
    room: RecordingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = await room.begin()
    monkeypatch.setattr(recording_file, "FREE_MIB", 10**9)
    recording.file.output(b"more")
    with pytest.raises(RecordingFailedError) as failed:
        await recording.file.run()
    assert failed.value.code == "recording_failed"
    await room.recordings.finish(recording, "recording_failed")
    rows_before = len(await room.rows())
    with pytest.raises(RecordingFailedError):
        await room.begin()
    assert len(await room.rows()) == rows_before, "nothing is on record of what never began"
    assert room.recordings._quotas == {}


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
