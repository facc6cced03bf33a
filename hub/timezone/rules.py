"""Decides the zone a machine is in and what its reports mean. Values in, Changes out. A pinned zone is never
overridden; a differing guess is kept beside it, as a question."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from db.records import MachineRow, ZoneRow, ZoneSyncRow
from hub.model import actors
from hub.model.changes import OWN, Change, EventHappened, Observed, Patch, Put
from hub.model.dating import UndatableError, by_hub, date
from hub.model.machine import Machine
from protocol.messages import TimezoneReport
from protocol.zones import is_zone

CLOCK_NEWS_S: Final = 1.0
"""Beyond it, the clock was moved between reports."""
_MICROSECONDS: Final = 1_000_000
MAX_ADDRESS: Final = 64
"""Longer text is no address."""
_REPORTED: Final = tuple(name for name in ZoneRow.__struct_fields__ if name not in ("id", "device_id", "created_at"))


class ReportRefused(Exception):  # noqa: N818 - it reads as what happened to a report
    """`field`: timezone, guess (no zones) or timestamp (no instant)."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def reported(
    machine: Machine, report: TimezoneReport, actor: actors.Actor, now: datetime, fallback: str
) -> list[Change]:
    """[] for a repeat. An automatic attempt that changed nothing is no event; one older than the newest is only
    recorded. `fallback`: zone of a naive timestamp when none is known. Raises ReportRefused."""
    attempt, after = _rows(machine, report, now, fallback)
    before = machine.zone
    if before is not None and _state(before) == _state(after):
        after = msgspec.structs.replace(after, updated_at=before.updated_at)
    changes = _changes(machine, report, attempt, after)
    if before is not None and (before.last_sync, before.sync_method) == (after.last_sync, after.sync_method):
        return changes if not _is_same(before, after) or _clock_is_news(machine, report) else []
    if before is not None and before.last_sync is not None and attempt.sync_timestamp < before.last_sync:
        # It changed nothing then either: what it was before the attempt is not known any more.
        return [Put(msgspec.structs.replace(attempt, previous_timezone=None), once=True)]
    is_event = (
        before is None
        or attempt.sync_method == "manual"
        or actor != actors.machine(machine.id)
        or before.current_timezone != after.current_timezone
        or (before.sync_status, before.guess, before.error) != (after.sync_status, after.guess, after.error)
    )
    return [*changes, _event(machine, attempt, after, actor)] if is_event else changes


def may_sync_by_hand(machine: Machine) -> bool:
    """Whether its settings let people ask for a sync."""
    return machine.effective_settings.on("manual_sync_enabled")


def checked_at(attempt: ZoneSyncRow, offset: float | None) -> datetime:
    """By the hub's clock, which the machine's may be hours behind: `offset` if its report had none. Never after its
    report came; long before, when the machine had no link."""
    known = offset if attempt.clock_offset_s is None else attempt.clock_offset_s
    return min(by_hub(attempt.sync_timestamp, attempt.created_at, known), attempt.created_at)


def zone_view(machine: Machine) -> dict[str, Any]:
    zone = machine.zone
    pinned, current, wanted = machine.effective_settings.pinned_zone, machine.current_zone, machine.wanted_zone
    system = None if zone is None else zone.system_timezone
    return {
        "device_id": machine.row.device_id,
        "current_timezone": current,
        "country": None if zone is None else zone.country,
        "city": None if zone is None else zone.city,
        "last_sync": None if zone is None else zone.last_sync,
        "sync_status": None if zone is None else zone.sync_status,
        "sync_method": None if zone is None else zone.sync_method,
        "source": None if zone is None else zone.source,
        "pinned_timezone": pinned,
        "guess": None if zone is None or zone.guess == wanted else zone.guess,
        "system_timezone": system,
        "in_step": None if system is None else system == wanted,
        "clock_offset_s": machine.row.clock_offset_s,
        "ntp": machine.row.ntp,
        "error": None if zone is None else zone.error,
        "restart": [] if zone is None else list(zone.restart or ()),
    }


def _rows(machine: Machine, report: TimezoneReport, now: datetime, fallback: str) -> tuple[ZoneSyncRow, ZoneRow]:
    for field, name in (("timezone", report.timezone), ("guess", report.guess)):
        if name is not None and not is_zone(name):
            raise ReportRefused(field)
    timezone, guess, source = report.timezone, report.guess, report.source
    pinned = machine.effective_settings.pinned_zone
    if pinned is not None and source != "pinned" and timezone != pinned:
        timezone, guess, source = pinned, timezone, "pinned"
    failed = report.error is not None or report.applied is False
    attempt = ZoneSyncRow(
        device_id=machine.row.device_id,
        timezone=timezone,
        country=report.country,
        city=report.city,
        ip_address=report.ip if report.ip is not None and len(report.ip) <= MAX_ADDRESS else None,
        sync_method=report.sync_method,
        sync_timestamp=_instant(machine, report, now, fallback),
        created_at=now,
        sync_status="failed" if failed else "active",
        # Not what the last hello report: that is the new zone already.
        previous_timezone=machine.row.timezone if machine.zone is None else machine.zone.current_timezone,
        source=source,
        error=_error(report, timezone) if failed else None,
        clock_offset_s=report.clock_offset,
    )
    # A name the hub's own zone database does not know (it may be older) is no zone anybody can count with.
    system = report.system_timezone if report.system_timezone and is_zone(report.system_timezone) else None
    return attempt, ZoneRow(
        device_id=machine.row.device_id,
        # What the machine's clock shows, and naive timestamps are read in.
        current_timezone=timezone if not failed else system or attempt.previous_timezone or timezone,
        country=report.country,
        city=report.city,
        last_sync=attempt.sync_timestamp,
        sync_status=attempt.sync_status,
        created_at=now,
        updated_at=now,
        sync_method=report.sync_method,
        source=source,
        guess=None if guess == timezone else guess,
        system_timezone=system,
        error=attempt.error,
        restart=tuple(report.restart or ()),
    )


def _changes(machine: Machine, report: TimezoneReport, attempt: ZoneSyncRow, zone: ZoneRow) -> list[Change]:
    clock = {"clock_offset_s": report.clock_offset, "ntp": report.ntp}
    values = {"timezone": zone.current_timezone} | {name: value for name, value in clock.items() if value is not None}
    return [
        Patch(MachineRow, machine.id, {**values, "updated_at": attempt.created_at}, must="id"),
        Put(zone, over=_REPORTED),
        Put(attempt, once=True),
        Observed(machine.id, {"zone_reported_at": report.timestamp}),
    ]


def _state(zone: ZoneRow) -> tuple[object, ...]:
    """What `updated_at` is the beginning of."""
    return zone.current_timezone, zone.system_timezone, zone.sync_status, zone.error


def _is_same(before: ZoneRow, after: ZoneRow) -> bool:
    return all(getattr(before, name) == getattr(after, name) for name in _REPORTED if name != "updated_at")


def _instant(machine: Machine, report: TimezoneReport, now: datetime, fallback: str) -> datetime:
    try:
        dated = date(report.timestamp, now, machine.row.timezone or report.timezone, fallback)
    except UndatableError as wrong:
        raise ReportRefused("timestamp") from wrong
    if dated.clamped and machine.zone is not None and machine.zone_reported_at == report.timestamp:
        # The hub's clock stands in for an impossible one, and would make every repeat another attempt.
        return machine.zone.last_sync or dated.at
    return dated.at


def _clock_is_news(machine: Machine, report: TimezoneReport) -> bool:
    """Whether the clock was put right, or wrong, since the last report."""
    ntp, offset, known = report.ntp, report.clock_offset, machine.row.clock_offset_s
    if ntp is not None and ntp != machine.row.ntp:
        return True
    return offset is not None and (known is None or abs(offset - known) > CLOCK_NEWS_S)


def _error(report: TimezoneReport, timezone: str) -> dict[str, str]:
    failure = {"code": "not_applied", "message": ""} if report.error is None else msgspec.structs.asdict(report.error)
    return {**failure, "timezone": timezone}


def _event(machine: Machine, attempt: ZoneSyncRow, zone: ZoneRow, actor: actors.Actor) -> EventHappened:
    found = {"source": zone.source, "guess": zone.guess, "country": zone.country, "city": zone.city}
    params: dict[str, Any] = {"timezone": attempt.timezone, "method": attempt.sync_method}
    params |= {name: value for name, value in found.items() if value is not None}
    if attempt.error is not None:
        params |= {"error": attempt.error["code"], "message": attempt.error["message"]}
    return EventHappened(
        at=attempt.created_at,
        code="timezone.synced" if attempt.sync_status == "active" else "timezone.failed",
        actor=actor,
        rvm_id=machine.id,
        params=params,
        before={"timezone": attempt.previous_timezone},
        after={"timezone": zone.current_timezone},
        # The same attempt, reported again after this hub has forgotten it, is the same event.
        boot_id=f"{OWN}timezone.{attempt.sync_method}",
        seq=int(attempt.sync_timestamp.timestamp() * _MICROSECONDS),
    )
