"""Queries on `remote_recordings`: one row a recorded terminal, whatever became of its file."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from db.engine.store import Store
from db.records import RecordingRow, record
from db.schema import remote_recordings as table

MOST_AT_ONCE: Final = 100

_ID = sa.bindparam("key_id", type_=sa.Integer())
_ONE = sa.select(table).where(table.c.id == _ID)
_IN_STATE = (
    sa.select(table)
    .where(table.c.state == sa.bindparam("key_state"), table.c.id > sa.bindparam("key_after", type_=sa.Integer()))
    .order_by(table.c.id)
    .limit(MOST_AT_ONCE)
)
_OLDER = (
    sa.select(table)
    .where(
        table.c.ended_at < sa.bindparam("key_before", type_=table.c.ended_at.type),
        table.c.id > sa.bindparam("key_after", type_=sa.Integer()),
    )
    .order_by(table.c.id)
    .limit(MOST_AT_ONCE)
)


_BYTES_OF = sa.select(sa.func.coalesce(sa.func.sum(table.c.size), 0).label("size")).where(
    table.c.rvm_id == sa.bindparam("key_rvm", type_=sa.Integer()),
    sa.or_(table.c.state == "waiting", table.c.state == "stored"),
)


async def find(store: Store, recording_id: int) -> RecordingRow | None:
    row = await store.fetch_one(_ONE, {"key_id": recording_id})
    return None if row is None else record(RecordingRow, row)


async def bytes_of_machine(store: Store, rvm_id: int) -> int:
    row = await store.fetch_one(_BYTES_OF, {"key_rvm": rvm_id})
    return 0 if row is None else int(row["size"])


async def of_machine(store: Store, rvm_id: int, limit: int, before: int | None = None) -> list[RecordingRow]:
    """Newest first, from before `before`."""
    query = sa.select(table).where(table.c.rvm_id == rvm_id).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [record(RecordingRow, row) for row in await store.fetch_all(query)]


async def in_state(store: Store, state: str, after: int = 0) -> list[RecordingRow]:
    """A batch by id, beyond `after`."""
    rows = await store.fetch_all(_IN_STATE, {"key_state": state, "key_after": after})
    return [record(RecordingRow, row) for row in rows]


async def ended_before(store: Store, moment: datetime, after: int = 0) -> list[RecordingRow]:
    """A batch by id, beyond `after`."""
    rows = await store.fetch_all(_OLDER, {"key_before": moment, "key_after": after})
    return [record(RecordingRow, row) for row in rows]
