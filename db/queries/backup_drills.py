"""Queries on `backup_logs` for drills and statistics."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from db.backup_records import GOOD_BACKUP, BackupRow
from db.columns import from_microseconds, to_microseconds
from db.engine.store import Store
from db.records import CounterRow, record
from db.schema import backup_logs as table
from db.schema import counters

_LAST: Final = "backup_drill"
_THERE = sa.and_(
    table.c.deleted_at.is_(None),
    sa.or_(*(table.c.upload_status == status for status in GOOD_BACKUP)),
)
_GOOD = sa.and_(_THERE, table.c.drill_error.is_(None))
_TRIED = sa.and_(
    table.c.upload_status == "completed",
    table.c.drill_error.is_(None),
    table.c.drill_at < sa.bindparam("key_before", type_=table.c.drill_at.type),
)
_UNDRILLED = (
    sa.select(table)
    .where(
        _THERE, sa.or_(table.c.drill_at.is_(None), _TRIED), table.c.id > sa.bindparam("key_after", type_=sa.Integer())
    )
    .order_by(table.c.id)
    .limit(sa.bindparam("key_limit"))
)
_COUNT = sa.select(sa.func.count().label("count")).select_from(table).where(_GOOD)
_NTH = sa.select(table).where(_GOOD).order_by(table.c.id).limit(1).offset(sa.bindparam("key_nth", type_=sa.Integer()))
_COUNTS = (
    sa.select(table.c.rvm_id, table.c.upload_status, sa.func.count().label("count"))
    .where(table.c.deleted_at.is_(None))
    .group_by(table.c.rvm_id, table.c.upload_status)
)
_REACHED = sa.select(counters.c.value).where(counters.c.name == _LAST)


async def undrilled(store: Store, before: datetime, after: int, limit: int) -> list[BackupRow]:
    """Stored, and not unpacked since it was asked for, or ever; not tried since `before`; by id, from behind
    `after`."""
    values = {"key_before": before, "key_after": after, "key_limit": limit}
    return [record(BackupRow, row) for row in await store.fetch_all(_UNDRILLED, values)]


async def any_good(store: Store, dice: float) -> BackupRow | None:
    """Kept and good; `dice` is 0 to below 1."""
    counted = await store.fetch_one(_COUNT, {})
    count = 0 if counted is None else int(counted["count"])
    row: Any = await store.fetch_one(_NTH, {"key_nth": int(dice * count)})
    return None if row is None else record(BackupRow, row)


async def last_drill(store: Store) -> datetime | None:
    row = await store.fetch_one(_REACHED, {})
    return None if row is None else from_microseconds(row["value"])


def drill_mark(at: datetime) -> CounterRow:
    return CounterRow(name=_LAST, value=to_microseconds(at))


async def counts(store: Store) -> dict[tuple[int, str], int]:
    found = await store.fetch_all(_COUNTS, {})
    return {(int(row["rvm_id"]), str(row["upload_status"])): int(row["count"]) for row in found}
