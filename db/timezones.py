"""Queries on `timezone_sync_logs` and `device_timezones`: every attempt to have the right zone, and what came of it.

Both name a machine by its device_id; they follow it when that is changed, and go with the machine. Judges no zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.connection import Store
from db.records import ZoneRow, record
from db.schema import device_timezones as zones
from db.schema import timezone_sync_logs as logs
from db.statements import Write, insert_or_ignore, insert_or_update

_KEPT = (
    "current_timezone", "country", "city", "last_sync", "sync_status", "sync_method", "source", "guess",
    "system_timezone", "error", "restart", "updated_at",
)  # fmt: skip
_LOG = insert_or_ignore(logs, logs.c.id)
_SET = insert_or_update(zones, ["device_id"], _KEPT)
_ALL = sa.select(zones)


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


@dataclass(frozen=True, slots=True)
class Counts:
    """Attempts so far: by method, how many failed, and how many led to another zone."""

    automatic: int = 0
    manual: int = 0
    failed: int = 0
    changed: int = 0


async def all_zones(store: Store) -> dict[str, ZoneRow]:
    """By device_id."""
    return {row["device_id"]: record(ZoneRow, row) for row in await store.fetch_all(_ALL)}


async def counts(store: Store, device_id: str) -> Counts:
    row = await store.fetch_one(_COUNTS, {"key_device_id": device_id})
    return Counts() if row is None else Counts(**{name: int(value) for name, value in row.items()})


def log_sync(
    *,
    device_id: str,
    timezone: str,
    country: str | None,
    city: str | None,
    ip: str | None,
    sync_method: str,
    synced_at: datetime,
    at: datetime,
    sync_status: str,
    previous: str | None,
    source: str | None,
    error: dict[str, str] | None,
    clock_offset_s: float | None,
) -> Write:
    """Returns the row's id, or no row: the same instant and method were reported before."""
    values = {
        "device_id": device_id,
        "timezone": timezone,
        "country": country,
        "city": city,
        "ip_address": ip,
        "sync_method": sync_method,
        "sync_timestamp": synced_at,
        "created_at": at,
        "sync_status": sync_status,
        "previous_timezone": previous,
        "source": source,
        "error": error,
        "clock_offset_s": clock_offset_s,
    }
    return Write(_LOG, values)


def set_zone(
    *,
    device_id: str,
    current_timezone: str,
    country: str | None,
    city: str | None,
    last_sync: datetime,
    sync_status: str,
    sync_method: str,
    source: str | None,
    guess: str | None,
    system_timezone: str | None,
    error: dict[str, str] | None,
    restart: Sequence[str],
    at: datetime,
) -> Write:
    """What holds for the device from now on."""
    values: dict[str, Any] = {
        "device_id": device_id,
        "current_timezone": current_timezone,
        "country": country,
        "city": city,
        "last_sync": last_sync,
        "sync_status": sync_status,
        "sync_method": sync_method,
        "source": source,
        "guess": guess,
        "system_timezone": system_timezone,
        "error": error,
        "restart": list(restart),
        "created_at": at,
        "updated_at": at,
    }
    return Write(_SET, values)


def delete_logs_before(before: datetime, limit: int) -> Write:
    """Delete some of the older attempts; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_before": before, "key_limit": limit})
