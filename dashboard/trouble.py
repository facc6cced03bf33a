"""Decides what is wrong with a machine, as code and rank, and how fresh its readings are. Pure. Instants in ms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dashboard.reader import Reader

View = Mapping[str, Any]

OFFLINE_ALARM_MS = 15 * 60_000
NEARLY_FULL = 95
EXPECTED_BACK_MS = 10 * 60_000
HEALTH_CAUSES = {
    "temperature": "hot",
    "disk_usage": "disk",
    "memory_usage": "memory",
    "cpu_usage": "cpu",
    "gpu_usage": "gpu",
    "throttled": "throttled",
}
RANKS = {
    "quarantined": 0, "error": 1, "full": 2, "offline": 3, "hot": 4, "throttled": 5, "disk": 6, "backup_drill": 7,
    "backup_late": 8, "backup_full": 9, "backup_quota": 10, "nearly_full": 11, "clock": 12, "memory": 13, "cpu": 14,
    "gpu": 15, "unknown": 16,
}  # fmt: skip
CLOCK_OFF_S = 300
CLOCK_UNSET_S = 365 * 86_400
"""Years behind: no battery, no time server."""
AGES = frozenset({"backup_late", "backup_quota"})
"""Their sentence has the time since, or until."""
QUOTAS = frozenset({"backup_full", "backup_quota"})
"""Counted hourly: unknown since when."""
RESTING = frozenset({"maintenance", "inactive"})
"""People took these machines out of service."""


@dataclass(frozen=True, slots=True)
class MachineTrouble:
    """`value`: the reading behind it; `since`: ms, where known."""

    id: int
    cause: str
    value: float | None
    since: int | None

    @property
    def rank(self) -> int:
        return RANKS[self.cause]


def gone_expectedly(view: View, now: int) -> bool:
    """After an announced reboot or update, recently."""
    since = view["connection_since"] or now
    return (
        view["connection"] == "offline"
        and view["connection_reason"] in ("reboot", "update")
        and now - since <= EXPECTED_BACK_MS
    )


def health_causes(view: View) -> list[tuple[str, float | None]]:
    """Worst first; none for old readings."""
    if view["connection"] not in ("live", "late"):
        return []
    found = []
    for reason in view["health_reasons"] or ():
        cause = HEALTH_CAUSES.get(reason["code"])
        if cause:
            found.append((cause, reason.get("value")))
    return sorted(found, key=lambda pair: RANKS[pair[0]])


def quarantined(view: View, now: int) -> bool:
    until = view.get("quarantined_until")
    return until is not None and until > now


def clock_cause(view: View) -> str | None:
    """`clock`: too wrong to believe, `clock_unset`: never set."""
    off = view.get("clock_offset_s")
    if off is None or view["connection"] not in ("live", "late") or abs(off) <= CLOCK_OFF_S:
        return None
    return "clock_unset" if off < -CLOCK_UNSET_S else "clock"


def backup_causes(view: View, now: int) -> list[tuple[str, int]]:
    """And since when: the last one could not be restored, or a good one is overdue; of a quota, when it is reached."""
    backup = view.get("backup") or {}
    found: list[tuple[str, int]] = []
    if backup.get("drill_failed_at") is not None:
        found.append(("backup_drill", backup["drill_failed_at"]))
    if backup.get("late_at") is not None and backup["late_at"] <= now:
        good_at = backup.get("good_at")
        found.append(("backup_late", view["created_at"] if good_at is None else good_at))
    full_at = backup.get("full_at")
    if full_at is not None:
        found.append(("backup_full" if full_at <= now else "backup_quota", full_at))
    return found


def trouble(view: View, now: int) -> MachineTrouble | None:
    status, connection = view["effective_status"], view["connection"]
    if quarantined(view, now):
        return MachineTrouble(view["id"], "quarantined", None, view["connection_since"])
    if status == "error":
        return MachineTrouble(view["id"], "error", None, view["status_since"])
    if status == "full":
        return MachineTrouble(view["id"], "full", view["capacity"], view["status_since"])
    if status in RESTING or connection == "never":
        return None
    if connection == "offline":
        since = view["connection_since"] or view["last_seen_at"] or now
        alarm = now - since > OFFLINE_ALARM_MS
        return MachineTrouble(view["id"], "offline", None, since) if alarm else None
    causes = health_causes(view)
    if view["capacity"] >= NEARLY_FULL:
        causes.append(("nearly_full", view["capacity"]))
    if clock_cause(view):
        causes.append(("clock", view["clock_offset_s"]))
    since = dict(backup_causes(view, now))
    causes += [(cause, at if cause in AGES else None) for cause, at in since.items()]
    if causes:
        cause, value = min(causes, key=lambda pair: RANKS[pair[0]])
        return MachineTrouble(view["id"], cause, value, None if cause in QUOTAS else since.get(cause))
    if status == "unknown":
        return MachineTrouble(view["id"], "unknown", None, view["status_since"])
    return None


def other_at(view: View, now: int) -> int | None:
    """When time alone changes the trouble."""
    since = view["connection_since"] or view["last_seen_at"] or now
    return other_moment((since + OFFLINE_ALARM_MS + 1, *moments(view)), now, lambda at: _cause(view, at))


def moments(view: View) -> tuple[int, ...]:
    """When time may change it, whatever the connection."""
    backup = view.get("backup") or {}
    known = (view.get("quarantined_until"), backup.get("late_at"), backup.get("full_at"))
    return tuple(at for at in known if at is not None)


def other_moment(candidates: Iterable[int], now: int, of: Callable[[int], Any]) -> int | None:
    """The first after now at which `of` differs."""
    return next((at for at in sorted(candidates) if at > now and of(at) != of(now)), None)


def _cause(view: View, now: int) -> str | None:
    found = trouble(view, now)
    return None if found is None else found.cause


def troubles(views: Iterable[View], now: int) -> list[MachineTrouble]:
    return ordered((t for t in (trouble(view, now) for view in views) if t), now)


def ordered(found: Iterable[MachineTrouble], now: int) -> list[MachineTrouble]:
    return sorted(found, key=lambda t: (t.rank, t.since if t.since is not None else now, t.id))


class Freshness(NamedTuple):
    """`mark`: the shape; `words`: beside it (for `live` for screen readers only)."""

    mark: str
    words: str
    quiet: bool = False


def freshness(view: View, r: Reader) -> Freshness:
    connection = view["connection"]
    if connection == "live":
        return Freshness("live", r.t("connection.live"), quiet=True)
    if connection == "late":
        return Freshness("late", r.t("late.by", age=r.age(view["last_seen_at"])))
    if connection == "never":
        return Freshness("never", r.t("connection.never"))
    if gone_expectedly(view, r.now):
        return Freshness("offline", r.t(f"away.{view['connection_reason']}"))
    return Freshness("offline", r.t("offline.for", age=r.age(view["connection_since"] or view["last_seen_at"])))
