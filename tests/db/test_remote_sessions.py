"""Rows of remote sessions as they are read."""

from __future__ import annotations

from msgspec.structs import replace

from db.engine.row_writes import insert
from db.engine.store import Store
from db.queries import machines, remote_sessions
from db.records import SESSION_PARTS, RemoteSessionRow
from tests.support.database_rows import NOW, machine

SESSION = RemoteSessionRow(rvm_id=1, start_time=NOW, created_at=NOW, status="ended")


async def stored(store: Store, row: RemoteSessionRow) -> RemoteSessionRow:
    await store.write(machine("one"))
    (known,) = await machines.all_machines(store)
    (result,) = await store.write(insert(replace(row, rvm_id=known.id)))
    found = await remote_sessions.find_session(store, result.rows[0]["id"])
    assert found is not None
    return found


async def test_the_oldest_rows_lasted_no_time_and_reached_everything(store: Store) -> None:
    found = await stored(store, SESSION)
    assert (found.admin_name, found.duration_s, found.expires_at) == ("", 0.0, NOW)
    assert (found.ports, found.allow) == ((), SESSION_PARTS)


async def test_a_row_is_the_session_that_it_was_written_from(store: Store) -> None:
    one = replace(
        SESSION, admin_name="Siti", duration_s=60.0, expires_at=NOW, ports=(5000,), allow=("terminal",), reason="jam"
    )
    found = await stored(store, one)
    assert found == replace(one, id=found.id, rvm_id=found.rvm_id)


async def test_sessions_that_are_open_are_read_at_the_start(store: Store) -> None:
    one = await stored(store, replace(SESSION, status="starting"))
    assert await remote_sessions.open_sessions(store) == [one]
    assert [row.id for row in await remote_sessions.history(store, one.rvm_id, 5)] == [one.id]
    assert await remote_sessions.history(store, one.rvm_id, 5, over=True) == []
