"""Judges what the hub observes of a machine: live, late, offline, never (dashboard.md 4.1); and its readings.

    live     age <= max(2.5 I, 5 s)        I: the interval at which this machine is expected to send
    late     older, <= max(6 I, 30 s); and a machine stays late until its frames come in time
    offline  older, or its socket closed more than 10 s ago, or after a bye or in quarantine (at once)
    never    enrolled, without a hello yet

Offline counts from the last contact, also in a later life of the hub.
A machine that only uses REST is judged by age as well, I being its upload interval. When the interval changes, age
counts from the change. No event: late for less than ten seconds, back within a minute of the hub's own start. `now` is
monotonic seconds. An absent reading counts for nothing. Also decides how often each machine
sends live samples, from what open pages watch: a watch not renewed ends by itself. Knows no socket and no link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from hub.model.effective_settings import Limits
from hub.model.machine import HealthReason, Lasting, Machine
from protocol.limits import LIVE_LEAST_S, LIVE_MOST_S, OFFLINE_GRACE_S
from protocol.messages import Sample

FOREVER: Final = float("inf")
FLAP_S: Final = 10.0
"""Shorter lateness is no event."""
START_GRACE_S: Final = 15.0
"""After the hub's start a known machine shows as late for so long."""
QUARANTINED: Final = "quarantined"
SILENT: Final = "silent"
"""Its link is open, and nothing comes."""
START_QUIET_S: Final = 60.0


class Verdict(NamedTuple):
    connection: str
    reason: str | None
    due: float


def live_limit(interval: float) -> float:
    return max(2.5 * interval, 5.0)


def late_limit(interval: float) -> float:
    return max(6.0 * interval, 30.0)


def judge(machine: Machine, now: float) -> Verdict:
    if machine.row.quarantined_until is not None:
        # At once: its link is being closed, and nobody with its key gets another until that is over.
        return Verdict("offline", QUARANTINED, FOREVER)
    if machine.close_reason is not None and not machine.linked:
        return Verdict("offline", machine.close_reason, FOREVER)
    if machine.linked or machine.uploads:
        return _by_age(machine, now)
    if machine.unlinked_at is None:
        return Verdict("never" if machine.last_seen_at is None else "offline", None, FOREVER)
    deadline = machine.unlinked_at + machine.grace
    if now >= deadline:
        reason = None if machine.connection_reason == QUARANTINED else machine.connection_reason
        return Verdict("offline", reason or "lost", FOREVER)
    # In the grace after a closed socket a machine keeps looking as it did, by its age.
    by_age = _by_age(machine, now)
    return by_age._replace(due=min(by_age.due, deadline))


def _by_age(machine: Machine, now: float) -> Verdict:
    since = max(machine.last_heard, machine.interval_since)
    in_time, at_most = since + live_limit(machine.interval), since + late_limit(machine.interval)
    if now > at_most:
        return Verdict("offline", SILENT, FOREVER)
    if now > in_time or machine.last_gap > live_limit(machine.interval):
        return Verdict("late", None, at_most)
    return Verdict("live", None, in_time)


def began(machine: Machine, connection: str, now: datetime) -> datetime:
    contact = machine.last_seen_at
    return now if connection != "offline" or contact is None else min(contact, now)


def unstored(machine: Machine) -> dict[str, Any]:
    """What the row lacks of what a later life of the hub needs: since when and why the machine is offline."""
    row = machine.row
    if machine.linked and row.connection_epoch != machine.epoch:
        return {}  # its hello is on the way, which stores the same; without its link it may never come
    values: dict[str, Any] = {}
    if machine.connection == "offline":
        values["last_seen_at"] = machine.last_seen_at
    if machine.connection_reason != QUARANTINED:
        values["close_reason"] = machine.connection_reason if machine.connection == "offline" else None
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def received(machine: Machine, now: float) -> bool:
    """Note a message. True: the machine was not live, so the caller judges it anew."""
    machine.last_gap = now - max(machine.last_heard, machine.interval_since)
    machine.last_heard = now
    return machine.connection != "live"


def linked(machine: Machine, interval: float, now: float) -> None:
    machine.linked = True
    machine.uploads = False
    machine.close_reason = None
    machine.unlinked_at = None
    machine.connection_reason = None
    machine.grace = OFFLINE_GRACE_S
    machine.interval = interval
    machine.last_heard = machine.interval_since = now
    machine.last_gap = 0.0


def uploaded(machine: Machine, interval: float, now: float) -> None:
    """Note samples that came by REST. Beside a link they say nothing about the connection."""
    if machine.linked:
        return
    machine.uploads = True
    machine.close_reason = None
    machine.connection_reason = None
    machine.interval = interval
    machine.last_heard = machine.interval_since = now
    machine.last_gap = 0.0


def unlinked(machine: Machine, close_reason: str | None, now: float) -> None:
    machine.linked = False
    machine.close_reason = close_reason
    machine.unlinked_at = now


def expect(machine: Machine, interval: float, now: float) -> None:
    if interval != machine.interval:
        machine.interval = interval
        machine.interval_since = now
        machine.last_gap = 0.0


def after_start(machine: Machine, was_live: bool, interval: float, now: float) -> None:
    """Set the connection at the hub's start. What was live when the last life ended shows as late for a moment, until
    its link is there again."""
    machine.interval = interval
    machine.last_heard = machine.interval_since = now
    if machine.last_seen_at is None:
        machine.connection = machine.event_connection = "never"
        return
    machine.connection_since = machine.last_seen_at
    if machine.row.quarantined_until is not None:
        machine.connection = machine.event_connection = "offline"
        machine.connection_reason = QUARANTINED
        return
    machine.connection_reason = machine.close_reason or ("hub_restarted" if was_live else "lost")
    if machine.close_reason is not None or not was_live:
        machine.connection = machine.event_connection = "offline"
        return
    machine.connection, machine.event_connection = "late", "live"
    machine.unlinked_at = now
    machine.grace = START_GRACE_S
    # It has been silent for longer than the hub knows: late until a frame comes.
    machine.last_gap = FOREVER
    machine.quiet_until = now + START_QUIET_S


def event_due(machine: Machine, connection: str, now: float) -> float | None:
    """When the new connection becomes an event if it still holds; None: the last event has it already."""
    if connection == machine.event_connection:
        return None
    delay = FLAP_S if connection == "late" else 0.0
    return max(now + delay, machine.quiet_until if connection != "live" else 0.0)


CRITICAL_ABOVE = 10.0
"""A reading so far beyond its warning limit is critical."""


def judge_readings(sample: Sample, limits: Limits) -> tuple[str, tuple[HealthReason, ...]]:
    """The worst level, and the readings at or beyond their limit, worst first."""
    hot, cpu, memory, disk = sample.temperature, sample.cpu_usage, sample.memory_usage, sample.disk_usage
    # The common case is decided without building anything: this runs for every sample.
    if (
        (hot is None or hot < limits.temperature)
        and (cpu is None or cpu < limits.cpu_usage)
        and (memory is None or memory < limits.memory_usage)
        and (disk is None or disk < limits.disk_usage)
    ):
        return "ok", ()
    return _reasons(
        ("temperature", hot, limits.temperature),
        ("cpu_usage", cpu, limits.cpu_usage),
        ("memory_usage", memory, limits.memory_usage),
        ("disk_usage", disk, limits.disk_usage),
    )


def _reasons(*readings: tuple[str, float | None, float]) -> tuple[str, tuple[HealthReason, ...]]:
    found = [
        HealthReason(code, value, limit) for code, value, limit in readings if value is not None and value >= limit
    ]
    found.sort(key=lambda reason: reason.limit - reason.value)
    level = "critical" if any(reason.value >= critical_limit(reason.limit) for reason in found) else "warning"
    return level, tuple(found)


def critical_limit(warning: float) -> float:
    """From where on a reading is critical: ten above its warning limit, so that a core is critical only when entirely
    busy."""
    return warning + CRITICAL_ABOVE


RELEASE_S: Final = 60.0
"""Without a sample beyond its limit, before a reading is over."""


def lasting(before: Iterable[Lasting], over: Iterable[str], at: datetime) -> tuple[Lasting, ...]:
    """Which readings are beyond their limits since when, after a sample at `at` in which those in `over` are."""
    known, now_over = {one.code: one for one in before}, tuple(over)
    found = [Lasting(code, min(known[code].since, at) if code in known else at, at) for code in now_over]
    return (*found, *(one for one in known.values() if one.code not in now_over and _holds(one, at)))


def _holds(one: Lasting, at: datetime) -> bool:
    return 0 <= (at - one.last).total_seconds() < RELEASE_S


def counting(found: Iterable[Lasting]) -> tuple[tuple[str, datetime], ...]:
    return tuple(sorted((one.code, one.since) for one in found if one.counts))


WATCH_S: Final = 30.0
WATCHES_PER_VIEWER: Final = 16


@dataclass(frozen=True)
class LiveWatch:
    rvm_id: int | None
    interval: float
    until: float
    reach: frozenset[int] | None

    def covers(self, rvm_id: int) -> bool:
        if self.rvm_id is not None:
            return self.rvm_id == rvm_id
        return self.reach is None or rvm_id in self.reach


class Watching:
    """Which machines' live samples open pages ask for, and how often. `viewer`: a number that names one browser
    connection."""

    def __init__(self) -> None:
        self._watches: dict[int, dict[int | None, LiveWatch]] = {}  # Bound: WATCHES_PER_VIEWER an open page
        self._settled: dict[int, float] = {}  # Bound: one a machine

    def watch(
        self, viewer: int, rvm_id: int | None, interval: float, now: float, *, reach: frozenset[int] | None = None
    ) -> None:
        """Ask for live samples of one machine, or of the fleet (None), for WATCH_S; `interval` is clamped to 1-60 s."""
        own = self._watches.setdefault(viewer, {})
        own.pop(rvm_id, None)
        if len(own) >= WATCHES_PER_VIEWER:
            del own[next(iter(own))]
        own[rvm_id] = LiveWatch(rvm_id, min(max(interval, LIVE_LEAST_S), LIVE_MOST_S), now + WATCH_S, reach)

    def unwatch(self, viewer: int) -> None:
        self._watches.pop(viewer, None)

    def interval(self, rvm_id: int, now: float) -> float:
        """The shortest interval that a page asks for; 0.0: none does."""
        wanted = [watch.interval for watch in self._live(now) if watch.covers(rvm_id)]
        return min(wanted, default=0.0)

    def settle(self, now: float, fleet: Iterable[int]) -> dict[int, float]:
        """Drop expired watches; returns the new interval of each machine for which it has changed."""
        self._end_expired(now)
        intervals = self._intervals(fleet, now) if self._watches else {}
        moved = {rvm_id: each for rvm_id, each in intervals.items() if self._settled.get(rvm_id, 0.0) != each}
        moved.update({rvm_id: 0.0 for rvm_id in self._settled if rvm_id not in intervals})
        self._settled = intervals
        return moved

    def _intervals(self, fleet: Iterable[int], now: float) -> dict[int, float]:
        known = set(fleet)
        intervals: dict[int, float] = {}
        for watch in self._live(now):
            if watch.rvm_id is not None:
                covered: Iterable[int] = (watch.rvm_id,) if watch.rvm_id in known else ()
            else:
                covered = known if watch.reach is None else known & watch.reach
            for rvm_id in covered:
                intervals[rvm_id] = min(intervals.get(rvm_id, LIVE_MOST_S), watch.interval)
        return intervals

    def _live(self, now: float) -> Iterable[LiveWatch]:
        return [watch for own in self._watches.values() for watch in own.values() if watch.until > now]

    def _end_expired(self, now: float) -> None:
        for viewer, own in list(self._watches.items()):
            for rvm_id, watch in list(own.items()):
                if watch.until <= now:
                    del own[rvm_id]
            if not own:
                del self._watches[viewer]
