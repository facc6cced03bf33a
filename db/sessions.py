"""Queries on `sessions`, the signed-in browsers. Sees hashes, never a cookie."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from db.connection import Store
from db.records import SessionRow, record
from db.schema import sessions
from db.statements import Write

_BY_HASH = sa.select(sessions).where(sessions.c.hash == sa.bindparam("key"))
_EXPIRED = sa.select(sessions.c.id).where(sessions.c.expires_at <= sa.bindparam("key_now"))
_DELETE_EXPIRED = sa.delete(sessions).where(sessions.c.id.in_(_EXPIRED.limit(sa.bindparam("key_limit"))))


def delete_expired_sessions(now: datetime, limit: int) -> Write:
    """Delete some of them; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_EXPIRED, {"key_now": now, "key_limit": limit})


async def find_session(store: Store, session_hash: str) -> SessionRow | None:
    """Also one that has expired: the caller compares `expires_at`."""
    row = await store.fetch_one(_BY_HASH, {"key": session_hash})
    return None if row is None else record(SessionRow, row)
