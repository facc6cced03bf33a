"""Decides how long each backup is kept, and forecasts when a quota is reached.

Kept for so many days, while a kept one needs it, and while it is its machine's newest good or newest verified one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from db.backup_records import BackupRow
from hub.model.backups import (
    ONLY_AGENT,
    brings_nothing_back,
    drill_failed_at,
    is_good,
    is_there,
    is_unverified,
    last_good,
    late_of,
    unverified_of,
)  # fmt: skip
from hub.model.machine import Machine

DAY: Final = timedelta(days=1)
CHAIN: Final = "chain"
LAST_GOOD: Final = "last_good"
RATE_OF: Final = timedelta(days=14)
"""Rate of the forecast: what was stored in this time."""
LOOK_AHEAD: Final = 90
"""Days."""
NEAR: Final = timedelta(days=14)
"""A quota reached so soon raises an alert, with time left to act."""


class Kept(NamedTuple):
    """`until` None: for as long as it is the last good one. `why`: empty, chain (needed by another) or last_good."""

    until: datetime | None
    why: str = ""


def kept_until(rows: Iterable[BackupRow], retention_days: float) -> dict[int, Kept]:
    stored = {row.id: row for row in rows if is_there(row)}
    found = {row.id: Kept(row.created_at + retention_days * DAY) for row in stored.values()}
    for last in _last_good(stored.values()):
        found[last] = Kept(None, LAST_GOOD)
    for row in sorted(stored.values(), key=lambda row: row.id, reverse=True):
        parent = stored.get(row.parent_id or 0)
        if parent is not None and parent.id < row.id:
            found[parent.id] = _longer(found[parent.id], found[row.id])
    return found


def _last_good(rows: Iterable[BackupRow]) -> set[int]:
    """The newest good one, and the newest verified one."""
    good = sorted((row for row in rows if is_good(row)), key=lambda row: row.id)
    verified = [row.id for row in good if row.upload_status == "verified"]
    return {row.id for row in good[-1:]} | set(verified[-1:])


def _longer(own: Kept, needed_by: Kept) -> Kept:
    if own.until is None or (needed_by.until is not None and needed_by.until <= own.until):
        return own
    return Kept(needed_by.until, CHAIN)


def expired(rows: Sequence[BackupRow], retention_days: float, now: datetime) -> list[BackupRow]:
    """Of one machine, each before the one it needs: killed half way, the rest is whole."""
    kept = kept_until(rows, retention_days)
    over = [row for row in rows if row.id in kept and _is_over(kept[row.id], now)]
    return sorted(over, key=lambda row: row.id, reverse=True)


def _is_over(kept: Kept, now: datetime) -> bool:
    return kept.until is not None and kept.until <= now


class Stored(NamedTuple):
    """`until`: when it expires, if others come after it."""

    at: datetime
    size: int
    until: datetime


class QuotaForecast(NamedTuple):
    """`full_at`: when `used` reaches `quota` at the rate `a_day`; None: not within 90 days, or no quota."""

    used: int
    quota: int
    a_day: int
    full_at: datetime | None


def stored(rows: Iterable[BackupRow], retention_days: float) -> list[Stored]:
    rows = list(rows)
    kept, days = kept_until(rows, retention_days), retention_days * DAY
    there = [row for row in rows if row.id in kept]
    return [Stored(row.created_at, row.file_size or 0, kept[row.id].until or row.created_at + days) for row in there]


def forecast(files: Sequence[Stored], quota: int, retention_days: float, now: datetime) -> QuotaForecast:
    """Day by day: what is kept by then, and what was added since, which expires likewise. `quota` 0: none."""
    used = sum(file.size for file in files)
    a_day = _a_day(files, now)
    if quota <= 0:
        return QuotaForecast(used, 0, a_day, None)
    return QuotaForecast(used, quota, a_day, _full_at(files, used, a_day, quota, retention_days, now))


def _full_at(
    files: Iterable[Stored], used: int, a_day: int, quota: int, retention_days: float, now: datetime
) -> datetime | None:
    goes: dict[int, int] = {}
    for file in files:
        day = max(math.ceil((file.until - now) / DAY), 1)
        goes[day] = goes.get(day, 0) + file.size
    for day in range(LOOK_AHEAD + 1):
        used -= goes.get(day, 0)
        if used + a_day * min(day, retention_days) >= quota:
            return now + day * DAY
    return None


def _a_day(files: Iterable[Stored], now: datetime) -> int:
    recent = [file for file in files if now - file.at <= RATE_OF]
    days = max((now - min((file.at for file in recent), default=now)) / DAY, 1.0)
    return round(sum(file.size for file in recent) / days)


class Alert(NamedTuple):
    """`code`: no_good_backup, unverified, only_agent, drill_failed or quota; `since`: its begin, of a quota when it
    will be reached."""

    code: str
    since: datetime
    backup_id: int | None = None


def is_near(found: QuotaForecast | None, now: datetime) -> bool:
    return found is not None and found.full_at is not None and found.full_at - now <= NEAR


def alerts_of(machine: Machine, found: QuotaForecast | None, now: datetime) -> list[Alert]:
    good = last_good(machine.backups)
    late = late_of(machine)
    alerts = [] if late is None or late > now else [Alert("no_good_backup", late, None if good is None else good.id)]
    since = unverified_of(machine)
    if good is not None and since is not None and is_unverified(machine, now):
        alerts.append(Alert("unverified", since, good.id))
    if good is not None and brings_nothing_back(good):
        alerts.append(Alert(ONLY_AGENT, good.completed_at or good.created_at, good.id))
    drilled = drill_failed_at(machine.backups)
    if drilled is not None:
        alerts.append(Alert("drill_failed", drilled, max(row.id for row in machine.backups.values() if is_there(row))))
    if found is not None and found.full_at is not None and is_near(found, now):
        alerts.append(Alert("quota", found.full_at))
    return alerts
