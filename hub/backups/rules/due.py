"""Decides when which machine is asked for its next backup.

Each machine has its own place in its site's window. What the hub missed is due in the next window; a machine that
was away is due at once when its backup is old."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

from hub.model.backups import interval_of, unable
from hub.model.dating import UTC, find_zone
from hub.model.machine import Machine
from protocol.configuration import window_minutes

DAY: Final = timedelta(days=1)
BEGIN_WITHIN: Final = 0.75
"""Share of a window that holds places: the rest is for machines that had to wait."""
RETRY: Final = timedelta(hours=1)
OLD: Final = 2
"""Intervals after which a backup no longer waits for the window."""
AHEAD: Final = timedelta(hours=1)
"""A time further ahead of now was taken by a clock that was wrong, and says nothing."""
_GOLDEN: Final = 0.6180339887498949
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    begins: datetime
    ends: datetime


class BackupPlan(NamedTuple):
    """From a machine's settings; `place` is 0 to below 1."""

    interval: timedelta
    window: str
    zone: tzinfo
    place: float


class Past(NamedTuple):
    """`good_at`, `tried_at`: when the newest good backup and the newest at all began; `since`: enrolment."""

    since: datetime
    good_at: datetime | None = None
    tried_at: datetime | None = None


def place_of(rvm_id: int) -> float:
    """Fixed for a machine, and far from those of its neighbours by id."""
    return rvm_id * _GOLDEN % 1.0


def plan_of(machine: Machine, fallback: str) -> BackupPlan:
    settings = machine.effective_settings
    zone = find_zone(machine.site_zone) or find_zone(fallback) or timezone.utc
    return BackupPlan(interval_of(settings), settings.text("backup_window"), zone, place_of(machine.id))


def why_not(machine: Machine) -> str | None:
    """Why it is not asked now: off, why it is `unable`, quarantined or offline."""
    if not machine.effective_settings.on("backup_enabled"):
        return "off"
    if (why := unable(machine)) is not None:
        return why
    if machine.row.quarantined_until is not None:
        return "quarantined"
    return None if machine.linked else "offline"


def next_due(plan: BackupPlan, past: Past, now: datetime) -> datetime:
    """Due when not after `now`."""
    past = _believed(past, now)
    own_from, begin_from = _own_from(plan, past), _begin_from(plan, past)
    found = (
        max(own, begin_from)
        for window in windows(plan, max(now, own_from, begin_from))
        if (own := _place(window, plan)) >= own_from and max(now, begin_from) < window.ends
    )
    return next(found)


def _believed(past: Past, now: datetime) -> Past:
    """Else a hub whose clock was a year ahead would ask for nothing for a year."""
    good_at, tried_at = (at if at is None or at <= now + AHEAD else None for at in (past.good_at, past.tried_at))
    return past._replace(good_at=good_at, tried_at=tried_at)


def _place(window: Window, plan: BackupPlan) -> datetime:
    return window.begins + (window.ends - window.begins) * (BEGIN_WITHIN * plan.place)


def is_due(plan: BackupPlan, past: Past, now: datetime, online_since: datetime | None) -> bool:
    return next_due(plan, past, now) <= now or _is_caught_up(plan, past, now, online_since)


def _is_caught_up(plan: BackupPlan, past: Past, now: datetime, online_since: datetime | None) -> bool:
    past = _believed(past, now)
    if online_since is None or now - (past.good_at or past.since) <= OLD * plan.interval:
        return False
    if past.tried_at is not None and past.tried_at >= online_since:
        return False
    return online_since > max(window.begins for window in windows(plan, now - 2 * DAY, now) if window.begins <= now)


def _own_from(plan: BackupPlan, past: Past) -> datetime:
    """In the night nearest to one interval after the last."""
    if past.good_at is None or plan.interval < DAY:
        return _NEVER
    return past.good_at + plan.interval - DAY / 2


def _begin_from(plan: BackupPlan, past: Past) -> datetime:
    """Several a day count from one to the next; a failure delays."""
    after_good = past.good_at + plan.interval if past.good_at is not None and plan.interval < DAY else _NEVER
    if past.tried_at is None or (past.good_at is not None and past.tried_at <= past.good_at):
        return after_good
    return max(after_good, past.tried_at + RETRY)


def windows(plan: BackupPlan, since: datetime, until: datetime | None = None) -> Iterator[Window]:
    """In order, from the one that contains `since` or follows it; `until` None: without end."""
    day = (since - 2 * DAY).astimezone(plan.zone).date()
    begin, lasts = window_minutes(plan.window)
    while True:
        begins = _instant(datetime.combine(day, time()) + timedelta(minutes=begin), plan.zone)
        ends = _instant(datetime.combine(day, time()) + timedelta(minutes=begin + lasts), plan.zone)
        if until is not None and begins > until:
            return
        yield Window(begins, ends if ends > begins else begins + timedelta(minutes=lasts))
        day += DAY


def _instant(local: datetime, zone: tzinfo) -> datetime:
    """A local time shown twice is its first one; one never shown is the instant that jumps over it."""
    early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if late.astimezone(zone).replace(tzinfo=None) == local:
        return late
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        early, late = (middle, late) if middle.astimezone(zone).replace(tzinfo=None) < local else (early, middle)
    return late.replace(microsecond=0)


class DueBackup(NamedTuple):
    """`asked_at`: when its newest backup began; None: never."""

    rvm_id: int
    asked_at: datetime | None


def begins_now(due: Iterable[DueBackup], running: Collection[int], at_once: int) -> list[int]:
    """Those that begin, so that at most `at_once` run. Who was asked longest ago is first: machines whose backups
    always fail take no one's turn."""
    waiting = sorted(
        (one for one in due if one.rvm_id not in running), key=lambda one: (one.asked_at or _NEVER, one.rvm_id)
    )
    return [one.rvm_id for one in waiting[: max(0, at_once - len(running))]]
