"""What is wrong with a machine, as a code and a rank: the attention list and the "why" panel read it.

Pure: takes the view of a machine (the JSON of GET /rvms/{id} with instants in milliseconds) and the hub's now. The
page's `trouble.js` decides the same way; one table of cases holds both to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

View = Mapping[str, Any]

OFFLINE_ALARM_MS = 15 * 60_000
NEARLY_FULL = 95
EXPECTED_BACK_MS = 10 * 60_000
"""A machine that said it reboots or updates may take this long before it counts as trouble."""
HEALTH_CAUSES = {
    "temperature": "hot",
    "disk_usage": "disk",
    "memory_usage": "memory",
    "cpu_usage": "cpu",
    "gpu_usage": "gpu",
    "throttled": "throttled",
}
RANKS = {
    "error": 0, "full": 1, "offline": 2, "hot": 3, "throttled": 4, "disk": 5,
    "nearly_full": 6, "memory": 7, "cpu": 8, "gpu": 9, "unknown": 10,
}  # fmt: skip
RESTING = frozenset({"maintenance", "inactive"})
"""Nobody is called for a machine that people have taken out of service."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One machine that needs somebody. `value` is the reading behind the cause, `since` epoch ms where known."""

    id: int
    cause: str
    value: float | None
    since: int | None

    @property
    def rank(self) -> int:
        return RANKS[self.cause]


def gone_expectedly(view: View, now: int) -> bool:
    """It said goodbye for a reboot or an update, and that is not long ago."""
    since = view["connection_since"] or now
    return (
        view["connection"] == "offline"
        and view["connection_reason"] in ("reboot", "update")
        and now - since <= EXPECTED_BACK_MS
    )


def health_causes(view: View) -> list[tuple[str, float | None]]:
    """The health reasons as causes with their reading, worst first; nothing for a machine whose readings are old."""
    if view["connection"] not in ("live", "late"):
        return []
    found = []
    for reason in view["health_reasons"] or ():
        cause = HEALTH_CAUSES.get(reason["code"])
        if cause:
            found.append((cause, reason.get("value")))
    return sorted(found, key=lambda pair: RANKS[pair[0]])


def trouble(view: View, now: int) -> Trouble | None:
    """The worst trouble of a machine, or None when it needs nobody."""
    status, connection = view["effective_status"], view["connection"]
    if status == "error":
        return Trouble(view["id"], "error", None, view["status_since"])
    if status == "full":
        return Trouble(view["id"], "full", view["capacity"], view["status_since"])
    if status in RESTING or connection == "never":
        return None
    if connection == "offline":
        since = view["connection_since"] or view["last_seen_at"] or now
        alarm = now - since > OFFLINE_ALARM_MS
        return Trouble(view["id"], "offline", None, since) if alarm else None
    causes = health_causes(view)
    if view["capacity"] >= NEARLY_FULL:
        causes.append(("nearly_full", view["capacity"]))
    if causes:
        cause, value = min(causes, key=lambda pair: RANKS[pair[0]])
        return Trouble(view["id"], cause, value, None)
    if status == "unknown":
        return Trouble(view["id"], "unknown", None, view["status_since"])
    return None


def troubles(views: Iterable[View], now: int) -> list[Trouble]:
    """Every trouble of the fleet: worst cause first, then the oldest."""
    found = [t for t in (trouble(view, now) for view in views) if t]
    return sorted(found, key=lambda t: (t.rank, t.since if t.since is not None else now, t.id))
