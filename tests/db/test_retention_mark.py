"""How far retention has come survives the hub; before its first time the newest event says what time it was."""

from __future__ import annotations

from db.engine.row_writes import insert
from db.engine.store import Store
from db.queries import events
from db.records import EventRow
from tests.support.database_rows import NOW, after


async def test_it_stands_where_it_was_put(store: Store) -> None:
    assert await events.retention_reached(store) is None
    for seconds in (5, 7):
        await store.write(insert(EventRow(at=after(seconds), code="a.b", actor="clock", params={})))
    assert await events.retention_reached(store) == after(7)
    for at in (NOW, after(60)):
        await store.write(insert(events.retention_mark(at), over=("value",)))
        assert await events.retention_reached(store) == at
