"""Queries on `troubles`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.records import record
from db.schema import troubles
from db.trouble_records import TroubleRow

_OPEN = sa.select(troubles).where(troubles.c.ended_at.is_(None)).order_by(troubles.c.id)
_BY_ID = sa.select(troubles).where(troubles.c.id == sa.bindparam("key"))
_OLD = sa.select(troubles.c.id).where(troubles.c.ended_at < sa.bindparam("key_before")).limit(sa.bindparam("key_limit"))
_DELETE_OLD = sa.delete(troubles).where(troubles.c.id.in_(_OLD))


async def open_troubles(store: Store) -> list[TroubleRow]:
    """That stand now, in the order in which they were noticed."""
    return [record(TroubleRow, row) for row in await store.fetch_all(_OPEN)]


async def ended_since(store: Store, since: datetime) -> list[TroubleRow]:
    """Over since then, in that order."""
    query = sa.select(troubles).where(troubles.c.ended_at >= since).order_by(troubles.c.ended_at, troubles.c.id)
    return [record(TroubleRow, row) for row in await store.fetch_all(query)]


async def find(store: Store, trouble_id: int) -> TroubleRow | None:
    row = await store.fetch_one(_BY_ID, {"key": trouble_id})
    return None if row is None else record(TroubleRow, row)


async def page(
    store: Store,
    state: str,
    now: datetime,
    limit: int,
    rvm_ids: Collection[int] | None,
    *,
    cause: str | None = None,
    before: int | None = None,
    since: datetime | None = None,
) -> list[TroubleRow]:
    """Newest first; `state`: open, taken, snoozed or over; `rvm_ids` None: all; `since`: over since then."""
    ended = troubles.c.ended_at
    query = sa.select(troubles).where(ended.is_not(None) if state == "over" else ended.is_(None))
    if state == "taken":
        query = query.where(troubles.c.owner_id.is_not(None))
    if state == "snoozed":
        query = query.where(troubles.c.snoozed_until > now)
    if since is not None:
        query = query.where(ended >= since)
    if rvm_ids is not None:
        query = query.where(troubles.c.rvm_id.in_(sorted(rvm_ids)))
    if cause is not None:
        query = query.where(troubles.c.cause == cause)
    if before is not None:
        query = query.where(troubles.c.id < before)
    return [record(TroubleRow, row) for row in await store.fetch_all(query.order_by(troubles.c.id.desc()).limit(limit))]


class Lasted(NamedTuple):
    """`ended_at` None: it goes on."""

    cause: str
    began_at: datetime
    ended_at: datetime | None


async def noticed_since(store: Store, since: datetime, rvm_ids: Collection[int] | None, limit: int) -> list[Lasted]:
    """The newest; `rvm_ids` None: all."""
    ended, noticed = troubles.c.ended_at, troubles.c.noticed_at
    # By the index on their end: most are over for long.
    query = sa.select(troubles.c.cause, troubles.c.began_at, ended).where(
        sa.or_(ended >= since, ended.is_(None)), noticed >= since
    )
    if rvm_ids is not None:
        query = query.where(troubles.c.rvm_id.in_(sorted(rvm_ids)))
    return [Lasted(**row) for row in await store.fetch_all(query.order_by(troubles.c.id.desc()).limit(limit))]


def delete_troubles_before(before: datetime, limit: int) -> Write:
    """Some that were over before then; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_before": before, "key_limit": limit})
