"""Queries on `status_history`: what each machine was declared to be, and since when."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.records import StatusRow, record
from db.schema import reverse_vending_machines as machines
from db.schema import status_history as history

# What was declared before a moment and replaced before it too: the last of a machine tells what was in force then.
_before = sa.select(history.c.since).where(history.c.since < sa.bindparam("key_before"))
_WITH_OLD = sa.select(machines.c.id).where(
    _before.where(history.c.rvm_id == machines.c.id)
    .order_by(history.c.since.desc())
    .offset(1)
    .limit(1)
    .scalar_subquery()
    .is_not(None)
)
_of_one = history.c.rvm_id == sa.bindparam("key_id")
_in_force = (
    sa.select(sa.func.max(history.c.since)).where(_of_one, history.c.since < sa.bindparam("key_before"))
).scalar_subquery()
_OLD = sa.select(history.c.id).where(_of_one, history.c.since < _in_force).limit(sa.bindparam("key_limit"))
_DELETE_OLD = sa.delete(history).where(history.c.id.in_(_OLD))
_newest_first = (history.c.since.desc(), history.c.id.desc())
_until_start = history.c.since <= sa.bindparam("key_from")
_within = (history.c.since > sa.bindparam("key_from"), history.c.since < sa.bindparam("key_to"))
_own = sa.select(history).where(_of_one)
_HELD_AT = _own.where(_until_start).order_by(*_newest_first).limit(1)
_BETWEEN = _own.where(*_within).order_by(history.c.since, history.c.id).limit(sa.bindparam("key_limit"))
_NEWEST = _own.order_by(*_newest_first).limit(sa.bindparam("key_limit"))
_NEWEST_BEFORE = _NEWEST.where(history.c.since < sa.bindparam("key_before"))
_BY_ID = sa.select(history).where(history.c.id == sa.bindparam("key_id"))
_declared = sa.select(
    history.c.since, sa.func.coalesce(history.c.special_status, history.c.status).label("status"), history.c.capacity
).where(_of_one)
_DECLARED_AT = _declared.where(_until_start).order_by(*_newest_first).limit(1)
_DECLARED = _declared.where(*_within).order_by(*_newest_first).limit(sa.bindparam("key_limit"))


async def machines_with_statuses_before(store: Store, before: datetime) -> list[int]:
    return [row["id"] for row in await store.fetch_all(_WITH_OLD, {"key_before": before})]


def delete_statuses_before(rvm_id: int, before: datetime, limit: int) -> Write:
    """Some that were replaced before `before`; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_id": rvm_id, "key_before": before, "key_limit": limit})


async def statuses_between(
    store: Store, rvm_id: int, start: datetime, end: datetime, limit: int = 10_000
) -> list[StatusRow]:
    """Oldest first: what held at `start` (if known), then declarations with start < since < end."""
    values = {"key_id": rvm_id, "key_from": start, "key_to": end, "key_limit": limit}
    first = await store.fetch_one(_HELD_AT, values)
    rest = await store.fetch_all(_BETWEEN, values)
    return [record(StatusRow, row) for row in ([first, *rest] if first is not None else rest)]


async def declared_until(
    store: Store, rvm_id: int, start: datetime, end: datetime, limit: int
) -> list[tuple[datetime, str, int]]:
    """Since, effective status and capacity, oldest first: what held at `start` (if known), then declarations before
    `end`; of more than `limit` the newest."""
    values = {"key_id": rvm_id, "key_from": start, "key_to": end, "key_limit": limit}
    rows = await store.fetch_all(_DECLARED, values)
    if len(rows) < limit:
        rows += await store.fetch_all(_DECLARED_AT, values)
    return [(row["since"], row["status"], row["capacity"]) for row in reversed(rows)]


async def statuses_at(store: Store, rvm_ids: Collection[int], at: datetime) -> dict[int, StatusRow]:
    """What held at `at`, by machine; unknown ones are left out."""
    newest = (
        sa.select(history.c.rvm_id, sa.func.max(history.c.since).label("since"))
        .where(history.c.rvm_id.in_(sorted(rvm_ids)), history.c.since <= at)
        .group_by(history.c.rvm_id)
        .subquery()
    )
    held = sa.select(history).join(
        newest, sa.and_(history.c.rvm_id == newest.c.rvm_id, history.c.since == newest.c.since)
    )
    rows = await store.fetch_all(held.order_by(history.c.id))
    return {row["rvm_id"]: record(StatusRow, row) for row in rows}


async def find_status(store: Store, status_id: int) -> StatusRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": status_id})
    return None if row is None else record(StatusRow, row)


async def page_of_statuses(
    store: Store,
    rvm_id: int,
    limit: int,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    before: StatusRow | None = None,
) -> list[StatusRow]:
    """Newest first: in force between `start` and `end`; `before`: only what stands behind that row."""
    own = sa.select(history).where(history.c.rvm_id == rvm_id)
    if start is not None:
        at_start = (
            sa.select(history.c.since)
            .where(history.c.rvm_id == rvm_id, history.c.since <= start)
            .order_by(history.c.since.desc())
            .limit(1)
            .scalar_subquery()
        )
        own = own.where(history.c.since >= sa.func.coalesce(at_start, sa.literal(start, history.c.since.type)))
    if end is not None:
        own = own.where(history.c.since < end)
    if before is not None:
        older = sa.and_(history.c.since == before.since, history.c.id < before.id)
        own = own.where(sa.or_(history.c.since < before.since, older))
    rows = await store.fetch_all(own.order_by(*_newest_first).limit(limit))
    return [record(StatusRow, row) for row in rows]


async def newest_statuses(store: Store, rvm_id: int, limit: int, before: datetime | None = None) -> list[StatusRow]:
    values = {"key_id": rvm_id, "key_limit": limit, "key_before": before}
    rows = await store.fetch_all(_NEWEST if before is None else _NEWEST_BEFORE, values)
    return [record(StatusRow, row) for row in rows]
