"""The rows of recordings on both databases: each move once, and what there is to do is found in batches."""

from __future__ import annotations

import pytest

from db.engine.row_writes import delete, insert, update
from db.engine.statements import Write
from db.engine.store import Store
from db.errors import Conflict
from db.queries import recordings
from db.records import RecordingRow
from hub.model.changes import Patch
from hub.remote.recordings import rules
from tests.support.database_rows import NOW, after, recording_row


async def begun(store: Store, rvm_id: int = 7, at: float = 0) -> int:
    (result,) = await store.write(insert(recording_row(rvm_id=rvm_id, started_at=after(at))))
    return int(result.rows[0]["id"])


def end(recording_id: int, at: float = 60) -> Write:
    return written(rules.ended(recording_id, after(at), "exited", duration_s=59.5, size=1234, sha256="a" * 64))


def written(patch: Patch) -> Write:
    return update(patch.of, patch.key, patch.values, patch.where, must=patch.must)


async def test_a_recording_is_begun_ended_and_stored_once(store: Store) -> None:
    number = await begun(store)
    row = await recordings.find(store, number)
    assert row is not None
    assert (row.state, row.machine_name, row.user_name, row.ended_at, row.cols) == (
        "recording",
        "Lobby",
        "Budi",
        None,
        80,
    )
    with pytest.raises(Conflict):
        await store.write(written(rules.stored(number, "too/early.cast")))
    await store.write(end(number))
    with pytest.raises(Conflict):
        await store.write(end(number, 90))
    await store.write(written(rules.stored(number, "recordings/1.cast")))
    row = await recordings.find(store, number)
    assert row is not None
    assert (row.state, row.object_key, row.size, row.duration_s) == ("stored", "recordings/1.cast", 1234, 59.5)
    assert (row.ended_at, row.end_reason) == (after(60), "exited")


async def test_a_machines_recordings_come_newest_first_in_pages(store: Store) -> None:
    numbers = [await begun(store, at=n) for n in range(5)]
    await begun(store, rvm_id=8)
    page = await recordings.of_machine(store, 7, 3)
    assert [row.id for row in page] == numbers[:1:-1]
    assert [row.id for row in await recordings.of_machine(store, 7, 3, before=page[-1].id)] == numbers[1::-1]
    assert await recordings.of_machine(store, 9, 3) == []


async def test_what_there_is_to_do_is_found_by_state_and_age(store: Store) -> None:
    first, second, third = [await begun(store) for _ in range(3)]
    await store.write(end(first, 60), end(second, 600))
    assert [row.id for row in await recordings.in_state(store, "recording")] == [third]
    assert [row.id for row in await recordings.in_state(store, "waiting", after=first)] == [second]
    assert [row.id for row in await recordings.ended_before(store, after(300))] == [first]
    assert await recordings.ended_before(store, after(300), after=first) == []
    assert await recordings.ended_before(store, NOW) == []


async def test_a_recording_is_lost_or_deleted_and_its_id_never_comes_again(store: Store) -> None:
    number = await begun(store)
    lost = update(RecordingRow, number, {"state": "lost"}, must="recording")
    await store.write(lost)
    assert [row.id for row in await recordings.in_state(store, "lost")] == [number]
    await store.write(delete(RecordingRow, number, must="recording"))
    assert await recordings.find(store, number) is None
    for gone in (delete(RecordingRow, number, must="recording"), lost):
        with pytest.raises(Conflict):
            await store.write(gone)
    assert await begun(store) > number
