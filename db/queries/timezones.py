"""Queries on `timezone_sync_logs` and `device_timezones`: attempts at the right zone, and their outcome. Both name a
machine by its device_id."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.records import ZoneRow, ZoneSyncRow, record
from db.schema import device_timezones as zones
from db.schema import timezone_sync_logs as logs

_ALL = sa.select(zones)
_ATTEMPT = (
    sa.select(logs)
    .where(logs.c.device_id == sa.bindparam("key_device_id"), logs.c.sync_timestamp == sa.bindparam("key_at"))
    .order_by(logs.c.id.desc())
    .limit(sa.literal_column("1"))
)


def _number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((condition, sa.literal_column("1"))))


_COUNTS = sa.select(
    _number_of(logs.c.sync_method == "automatic").label("automatic"),
    _number_of(logs.c.sync_method == "manual").label("manual"),
    _number_of(logs.c.sync_status == "failed").label("failed"),
    _number_of(
        sa.and_(
            logs.c.sync_status == "active",
            logs.c.previous_timezone.is_not(None),
            logs.c.previous_timezone != logs.c.timezone,
        )
    ).label("changed"),
).where(logs.c.device_id == sa.bindparam("key_device_id"))
# Rows are numbered as time goes by: the few with the lowest numbers are looked at, and never the whole table.
_FIRST = sa.select(logs.c.id, logs.c.created_at).order_by(logs.c.id).limit(sa.bindparam("key_limit")).subquery()
_DELETE_OLD = sa.delete(logs).where(
    logs.c.id.in_(sa.select(_FIRST.c.id).where(_FIRST.c.created_at < sa.bindparam("key_before")))
)


class Counts(msgspec.Struct, frozen=True):
    """By method; failed ones; those that led to another zone."""

    automatic: int
    manual: int
    failed: int
    changed: int


async def all_zones(store: Store) -> dict[str, ZoneRow]:
    return {row["device_id"]: record(ZoneRow, row) for row in await store.fetch_all(_ALL)}


async def attempt(store: Store, device_id: str, at: datetime) -> ZoneSyncRow | None:
    """The one that the machine dates so, while it is kept."""
    row = await store.fetch_one(_ATTEMPT, {"key_device_id": device_id, "key_at": at})
    return None if row is None else record(ZoneSyncRow, row)


async def counts(store: Store, device_id: str) -> Counts:
    row = await store.fetch_one(_COUNTS, {"key_device_id": device_id})
    return Counts(0, 0, 0, 0) if row is None else Counts(**{name: int(value) for name, value in row.items()})


def delete_logs_before(before: datetime, limit: int) -> Write:
    """Some older attempts; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_before": before, "key_limit": limit})
