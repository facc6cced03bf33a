"""Queries on `sessions`, the signed-in browsers. Sees hashes, never a cookie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.connection import Store
from db.schema import sessions
from db.statements import Write

_BY_HASH = sa.select(sessions).where(sessions.c.hash == sa.bindparam("key"))
_INSERT = sa.insert(sessions).returning(sessions.c.id)
_EXTEND = sa.update(sessions).where(sessions.c.hash == sa.bindparam("key_hash"))
_HOLD = sa.update(sessions).where(sessions.c.id == sa.bindparam("key_id"))
_DELETE = sa.delete(sessions).where(sessions.c.hash == sa.bindparam("key_hash"))
_DELETE_OF_USER = sa.delete(sessions).where(sessions.c.user_id == sa.bindparam("key_user_id"))
_EXPIRED = sa.select(sessions.c.id).where(sessions.c.expires_at <= sa.bindparam("key_now"))
_DELETE_EXPIRED = sa.delete(sessions).where(sessions.c.id.in_(_EXPIRED.limit(sa.bindparam("key_limit"))))


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: int
    user_id: int
    hash: str
    created_at: datetime
    expires_at: datetime
    ip: str | None
    user_agent: str | None


def insert_session(
    *,
    user_id: int,
    hash: str,  # noqa: A002 - the column's name
    at: datetime,
    expires_at: datetime,
    ip: str | None,
    user_agent: str | None,
) -> Write:
    """Returns its `id`. Conflict: hash, user_id (no such user)."""
    values = {
        "user_id": user_id,
        "hash": hash,
        "created_at": at,
        "expires_at": expires_at,
        "ip": ip,
        "user_agent": user_agent,
    }
    return Write(_INSERT, values)


def extend_session(session_hash: str, expires_at: datetime) -> Write:
    return Write(_EXTEND, {"expires_at": expires_at, "key_hash": session_hash})


def hold_session(session_id: int, user_id: int) -> Write:
    """Changes nothing. Conflict: session (it has ended)."""
    return Write(_HOLD, {"user_id": user_id, "key_id": session_id}, must_match="session")


def delete_session(session_hash: str) -> Write:
    return Write(_DELETE, {"key_hash": session_hash})


def delete_sessions_of(user_id: int) -> Write:
    return Write(_DELETE_OF_USER, {"key_user_id": user_id})


def delete_expired_sessions(now: datetime, limit: int) -> Write:
    """Delete some of them; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_EXPIRED, {"key_now": now, "key_limit": limit})


async def find_session(store: Store, session_hash: str) -> SessionRow | None:
    """Also one that has expired: the caller compares `expires_at`."""
    row = await store.fetch_one(_BY_HASH, {"key": session_hash})
    return None if row is None else SessionRow(**row)
