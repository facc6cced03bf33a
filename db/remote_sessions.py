"""Queries on `remote_access_sessions`: who may reach a machine until when, and how it ended. Judges nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from db.connection import Store
from db.schema import remote_access_sessions as sessions
from db.schema import remote_recordings as recordings
from db.statements import Write

OPEN: Final = ("requested", "starting", "active")

_INSERT = sa.insert(sessions).returning(sessions.c.id)
# No IN list: what an UPDATE sets could not be bound beside one.
_IS_OPEN = sa.or_(*(sessions.c.status == status for status in OPEN))
_UPDATE = sa.update(sessions).where(sessions.c.id == sa.bindparam("key_id"), _IS_OPEN)
_OPEN = sa.select(sessions).where(sessions.c.status.in_(OPEN)).order_by(sessions.c.id)
_BY_ID = sa.select(sessions).where(sessions.c.id == sa.bindparam("key_id"))
# Rows are numbered as time goes by: the few with the lowest numbers are looked at, and never the whole table.
_FIRST = sa.select(sessions).order_by(sessions.c.id).limit(sa.bindparam("key_limit")).subquery()
_ENDED = sa.select(_FIRST.c.id).where(
    _FIRST.c.created_at < sa.bindparam("key_before"), sa.and_(*(_FIRST.c.status != status for status in OPEN))
)
_DELETE_ENDED = sa.delete(sessions).where(sessions.c.id.in_(_ENDED))


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. A row from before leases were kept has no name, no duration and no end to come."""

    id: int
    rvm_id: int
    admin_id: int | None
    admin_name: str | None
    status: str
    start_time: datetime
    end_time: datetime | None
    expires_at: datetime | None
    duration_s: float | None
    created_at: datetime
    reason: str | None
    ip_address: str | None
    port: int | None
    ports: list[int] | None
    allow: list[str] | None
    origin: str
    approved_by: str | None
    approved_at: datetime | None
    ended_by: str | None
    end_reason: str | None
    command_id: str | None


def insert_session(**columns: Any) -> Write:
    """Returns the row's id. Conflict: rvm_id or admin_id (no such)."""
    return Write(_INSERT, columns)


def update_session(session_id: int, **columns: Any) -> Write:
    """The session as it is after a move. Conflict: status (unknown, or ended before)."""
    return Write(_UPDATE, {**columns, "key_id": session_id}, must_match="status")


def delete_sessions_before(before: datetime, limit: int) -> Write:
    """Delete some that began earlier and have ended; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_ENDED, {"key_before": before, "key_limit": limit})


async def open_sessions(store: Store) -> list[SessionRow]:
    """Every session of every machine that has not ended, oldest first: read once, when the hub starts."""
    return [SessionRow(**row) for row in await store.fetch_all(_OPEN)]


async def find_session(store: Store, session_id: int) -> SessionRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": session_id})
    return None if row is None else SessionRow(**row)


async def history(
    store: Store, rvm_id: int, limit: int, before: int | None = None, *, over: bool = False
) -> list[SessionRow]:
    """Newest first; `before` is the id of the last row of the page before. `over`: only what has ended."""
    query = sa.select(sessions).where(sessions.c.rvm_id == rvm_id)
    if over:
        query = query.where(sessions.c.status.not_in(OPEN))
    if before is not None:
        query = query.where(sessions.c.id < before)
    return [SessionRow(**row) for row in await store.fetch_all(query.order_by(sessions.c.id.desc()).limit(limit))]


async def recordings_of(store: Store, session_ids: Collection[int]) -> dict[int, int]:
    """How many recordings each of these sessions has; one without any is left out."""
    if not session_ids:
        return {}
    query = (
        sa.select(recordings.c.session_id, sa.func.count().label("n"))
        .where(recordings.c.session_id.in_(sorted(session_ids)))
        .group_by(recordings.c.session_id)
    )
    return {int(row["session_id"]): int(row["n"]) for row in await store.fetch_all(query)}
