"""Queries on `remote_recordings`: one row for each recorded terminal, whatever became of its file."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from db.connection import Store
from db.records import RecordingRow, record
from db.schema import remote_recordings as table
from db.statements import Write

MOST_AT_ONCE: Final = 100
"""Rows one look for work answers."""

_ID = sa.bindparam("key_id", type_=sa.Integer())
_INSERT = sa.insert(table).returning(table.c.id)
_END = (
    sa.update(table)
    .where(table.c.id == _ID, table.c.state == "recording")
    .values({name: sa.bindparam(name) for name in ("state", "ended_at", "end_reason", "duration_s", "size", "sha256")})
)
_STORE = (
    sa.update(table)
    .where(table.c.id == _ID, table.c.state == "waiting")
    .values({name: sa.bindparam(name) for name in ("state", "object_key")})
)
_LOSE = sa.update(table).where(table.c.id == _ID).values(state=sa.bindparam("state"))
_DELETE = sa.delete(table).where(table.c.id == _ID)
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
    """What its finished recordings take."""
    row = await store.fetch_one(_BYTES_OF, {"key_rvm": rvm_id})
    return 0 if row is None else int(row["size"])


async def of_machine(store: Store, rvm_id: int, limit: int, before: int | None = None) -> list[RecordingRow]:
    """Newest first, older than the recording `before`."""
    query = sa.select(table).where(table.c.rvm_id == rvm_id).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [record(RecordingRow, row) for row in await store.fetch_all(query)]


async def in_state(store: Store, state: str, after: int = 0) -> list[RecordingRow]:
    """A batch in the order of ids, beyond `after`."""
    rows = await store.fetch_all(_IN_STATE, {"key_state": state, "key_after": after})
    return [record(RecordingRow, row) for row in rows]


async def ended_before(store: Store, moment: datetime, after: int = 0) -> list[RecordingRow]:
    """A batch in the order of ids, beyond `after`."""
    rows = await store.fetch_all(_OLDER, {"key_before": moment, "key_after": after})
    return [record(RecordingRow, row) for row in rows]


def begin(
    *,
    session_id: int,
    rvm_id: int,
    machine_name: str,
    user_id: int,
    user_name: str,
    ip_address: str | None,
    reason: str | None,
    started_at: datetime,
    input_recorded: bool,
    cols: int,
    rows: int,
) -> Write:
    """Returns the row's id."""
    values = {
        "session_id": session_id,
        "rvm_id": rvm_id,
        "machine_name": machine_name,
        "user_id": user_id,
        "user_name": user_name,
        "ip_address": ip_address,
        "reason": reason,
        "state": "recording",
        "started_at": started_at,
        "input_recorded": input_recorded,
        "cols": cols,
        "rows": rows,
    }
    return Write(_INSERT, values)


def end(recording_id: int, *, at: datetime, reason: str, duration_s: float, size: int, sha256: str) -> Write:
    """It waits for the object store now. Conflict: recording."""
    values = {
        "key_id": recording_id, "state": "waiting", "ended_at": at, "end_reason": reason, "duration_s": duration_s,
        "size": size, "sha256": sha256,
    }  # fmt: skip
    return Write(_END, values, must_match="recording")


def stored(recording_id: int, object_key: str) -> Write:
    """Conflict: recording (it was deleted meanwhile)."""
    values = {"key_id": recording_id, "state": "stored", "object_key": object_key}
    return Write(_STORE, values, must_match="recording")


def lose(recording_id: int) -> Write:
    """Its file is gone. Conflict: recording."""
    return Write(_LOSE, {"key_id": recording_id, "state": "lost"}, must_match="recording")


def delete(recording_id: int) -> Write:
    """Conflict: recording (somebody else was quicker)."""
    return Write(_DELETE, {"key_id": recording_id}, must_match="recording")
