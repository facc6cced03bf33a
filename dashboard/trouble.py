"""Decides what is wrong with a machine, as a code and a rank, and how fresh its readings are. Pure: takes its view
(instants in milliseconds) and the hub's now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dashboard.reader import Reader

View = Mapping[str, Any]

OFFLINE_ALARM_MS = 15 * 60_000
NEARLY_FULL = 95
EXPECTED_BACK_MS = 10 * 60_000
"""After that it is trouble."""
HEALTH_CAUSES = {
    "temperature": "hot",
    "disk_usage": "disk",
    "memory_usage": "memory",
    "cpu_usage": "cpu",
    "gpu_usage": "gpu",
    "throttled": "throttled",
}
RANKS = {
    "quarantined": 0, "error": 1, "full": 2, "offline": 3, "hot": 4, "throttled": 5, "disk": 6,
    "nearly_full": 7, "clock": 8, "memory": 9, "cpu": 10, "gpu": 11, "unknown": 12,
}  # fmt: skip
CLOCK_OFF_S = 300
CLOCK_UNSET_S = 365 * 86_400
"""Years behind: no battery, and no time server found."""
RESTING = frozenset({"maintenance", "inactive"})
"""Statuses by which people took a machine out of service."""


@dataclass(frozen=True, slots=True)
class MachineTrouble:
    """`value` is the reading behind the cause, `since` epoch ms where known."""

    id: int
    cause: str
    value: float | None
    since: int | None

    @property
    def rank(self) -> int:
        return RANKS[self.cause]


def gone_expectedly(view: View, now: int) -> bool:
    """Whether it announced a reboot or an update, not long ago."""
    since = view["connection_since"] or now
    return (
        view["connection"] == "offline"
        and view["connection_reason"] in ("reboot", "update")
        and now - since <= EXPECTED_BACK_MS
    )


def health_causes(view: View) -> list[tuple[str, float | None]]:
    """Worst first; nothing for a machine whose readings are old."""
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
    """`clock`: too wrong to believe its times, `clock_unset`: never set."""
    off = view.get("clock_offset_s")
    if off is None or view["connection"] not in ("live", "late") or abs(off) <= CLOCK_OFF_S:
        return None
    return "clock_unset" if off < -CLOCK_UNSET_S else "clock"


def trouble(view: View, now: int) -> MachineTrouble | None:
    """The worst trouble of a machine, or None."""
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
    if causes:
        cause, value = min(causes, key=lambda pair: RANKS[pair[0]])
        return MachineTrouble(view["id"], cause, value, None)
    if status == "unknown":
        return MachineTrouble(view["id"], "unknown", None, view["status_since"])
    return None


def other_at(view: View, now: int) -> int | None:
    """When the clock alone changes the trouble."""
    if quarantined(view, now):
        until: int = view["quarantined_until"]
        return until
    if view["connection"] != "offline" or trouble(view, now) is not None or view["effective_status"] in RESTING:
        return None
    return (view["connection_since"] or view["last_seen_at"] or now) + OFFLINE_ALARM_MS + 1


def troubles(views: Iterable[View], now: int) -> list[MachineTrouble]:
    return ordered((t for t in (trouble(view, now) for view in views) if t), now)


def ordered(found: Iterable[MachineTrouble], now: int) -> list[MachineTrouble]:
    return sorted(found, key=lambda t: (t.rank, t.since if t.since is not None else now, t.id))


class Freshness(NamedTuple):
    """`mark` is the shape, `words` what stands beside it (for `live` for screen readers only)."""

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
