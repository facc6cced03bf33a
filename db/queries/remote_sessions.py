"""Queries on `remote_access_sessions`: who may reach a machine until when, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from db.engine.statements import Write
from db.engine.store import Store
from db.records import OPEN_SESSION, SESSION_PARTS, RemoteSessionRow, record
from db.schema import remote_access_sessions as sessions
from db.schema import remote_recordings as recordings

_OPEN = sa.select(sessions).where(sessions.c.status.in_(OPEN_SESSION)).order_by(sessions.c.id)
_BY_ID = sa.select(sessions).where(sessions.c.id == sa.bindparam("key_id"))
# Rows are numbered as time goes by: the few with the lowest numbers are looked at, and never the whole table.
_FIRST = sa.select(sessions).order_by(sessions.c.id).limit(sa.bindparam("key_limit")).subquery()
_ENDED = sa.select(_FIRST.c.id).where(
    _FIRST.c.created_at < sa.bindparam("key_before"), sa.and_(*(_FIRST.c.status != status for status in OPEN_SESSION))
)
_DELETE_ENDED = sa.delete(sessions).where(sessions.c.id.in_(_ENDED))


def delete_sessions_before(before: datetime, limit: int) -> Write:
    """Some that began earlier and have ended; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_ENDED, {"key_before": before, "key_limit": limit})


async def open_sessions(store: Store) -> list[RemoteSessionRow]:
    return [_row(row) for row in await store.fetch_all(_OPEN)]


async def find_session(store: Store, session_id: int) -> RemoteSessionRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": session_id})
    return None if row is None else _row(row)


async def history(
    store: Store, rvm_id: int, limit: int, before: int | None = None, *, over: bool = False
) -> list[RemoteSessionRow]:
    """Newest first; `before`: the last id of the page before. `over`: only ended ones."""
    query = sa.select(sessions).where(sessions.c.rvm_id == rvm_id)
    if over:
        query = query.where(sessions.c.status.not_in(OPEN_SESSION))
    if before is not None:
        query = query.where(sessions.c.id < before)
    return [_row(row) for row in await store.fetch_all(query.order_by(sessions.c.id.desc()).limit(limit))]


async def recordings_of(store: Store, session_ids: Collection[int]) -> dict[int, int]:
    """By session; those without are left out."""
    if not session_ids:
        return {}
    query = (
        sa.select(recordings.c.session_id, sa.func.count().label("n"))
        .where(recordings.c.session_id.in_(sorted(session_ids)))
        .group_by(recordings.c.session_id)
    )
    return {int(row["session_id"]): int(row["n"]) for row in await store.fetch_all(query)}


def _row(values: Mapping[str, Any]) -> RemoteSessionRow:
    """Oldest rows lack columns: defaults."""
    row = record(RemoteSessionRow, values)
    duration_s = row.duration_s or 0.0
    return replace(
        row,
        admin_name=row.admin_name or "",
        duration_s=duration_s,
        expires_at=row.expires_at or row.start_time + timedelta(seconds=duration_s),
        ports=row.ports or (),
        allow=SESSION_PARTS if row.allow is None else row.allow,
    )
