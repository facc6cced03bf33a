"""Queries on `troubles`."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.records import record
from db.schema import troubles
from db.trouble_records import TroubleRow

_OPEN = sa.select(troubles).where(troubles.c.ended_at.is_(None)).order_by(troubles.c.id)
_OLD = sa.select(troubles.c.id).where(troubles.c.ended_at < sa.bindparam("key_before")).limit(sa.bindparam("key_limit"))
_DELETE_OLD = sa.delete(troubles).where(troubles.c.id.in_(_OLD))


async def open_troubles(store: Store) -> list[TroubleRow]:
    """That stand now, in the order in which they were noticed."""
    return [record(TroubleRow, row) for row in await store.fetch_all(_OPEN)]


async def ended_since(store: Store, since: datetime) -> list[TroubleRow]:
    """Over since then, in that order."""
    query = sa.select(troubles).where(troubles.c.ended_at >= since).order_by(troubles.c.ended_at, troubles.c.id)
    return [record(TroubleRow, row) for row in await store.fetch_all(query)]


def delete_troubles_before(before: datetime, limit: int) -> Write:
    """Some that were over before then; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_before": before, "key_limit": limit})
