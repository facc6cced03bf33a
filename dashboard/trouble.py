"""Decides what is wrong with a machine, as code and rank, and how fresh its readings are. Pure. Instants in ms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dashboard.foreign_text import plain
from dashboard.reader import Reader

View = Mapping[str, Any]

OFFLINE_ALARM_MS = 60_000
"""After the last contact; of many at once earlier (dashboard/outage.py)."""
NEVER_ALARM_MS = 10 * 60_000
"""After it was added: somebody is on the way to it with its key. Until then it is new, and not called fine."""
NEARLY_FULL = 95
EXPECTED_BACK_MS = 10 * 60_000
HEALTH_CAUSES = {
    "temperature": "hot",
    "disk_usage": "disk",
    "memory_usage": "memory",
    "cpu_usage": "cpu",
}
READINGS_OF = {cause: reading for reading, cause in HEALTH_CAUSES.items()}
RANKS = {
    "quarantined": 0, "copy": 1, "board": 1, "board_waits": 1, "error": 1, "certificate_expired": 1,
    "certificate_very_soon": 1, "approval": 2, "full": 3, "offline": 4, "not_back": 5, "shutdown": 6, "hot": 7,
    "disk": 9, "backup_drill": 10, "backup_empty": 11, "backup_late": 11, "backup_unverified": 11,
    "backup_full": 12, "backup_quota": 13, "nearly_full": 14, "certificate_soon": 14, "worn": 14, "clock": 15,
    "zone": 16, "refused": 17, "memory": 18, "cpu": 19, "never": 21, "unknown": 22,
}  # fmt: skip
WHO = {
    **dict.fromkeys(("full", "offline", "not_back", "shutdown", "nearly_full"), "site"),
    **dict.fromkeys(("error", "hot", "worn", "clock", "never", "unknown"), "technician"),
    **dict.fromkeys(("quarantined", "copy", "board", "board_waits", "refused", "backup_full", "backup_quota"), "admin"),
    **dict.fromkeys(("backup_empty", "backup_unverified", "certificate_soon"), "admin"),
    **dict.fromkeys(("certificate_very_soon", "certificate_expired"), "admin"),
    "approval": "you",
}
"""Who acts; an operator where nobody is named."""
MARKS = {
    **dict.fromkeys(("error", "certificate_expired", "certificate_very_soon"), "error"),
    **dict.fromkeys(("offline", "not_back", "shutdown", "reboot", "update"), "offline"),
    **{code: code for code in ("full", "unknown", "never", "late", "maintenance", "inactive")},
    "approval": "remote",
}
"""Shape and colour of a cause, wherever it stands; a warning's where none is named."""
BOARD_CAUSES = {"waits": "board_waits", "copy": "copy"}
WORN = 90.0
"""Percent of a disk's life: it is replaced before that ends."""
CLOCK_OFF_S = 300
CLOCK_UNSET_S = 365 * 86_400
"""Years behind: no battery, no time server."""
AGES = frozenset({"backup_late", "backup_quota"})
"""Their sentence has the time since, or until."""
QUOTAS = frozenset({"backup_full", "backup_quota"})
"""Counted hourly: unknown since when."""
OF_CONNECTED = frozenset(
    {*HEALTH_CAUSES.values(), "nearly_full", "worn", "clock", "unknown"}
    | {cause for cause in RANKS if cause.startswith("backup_")}
)
"""Looked for in machines that are there: while one is away, they are not shown, and not over."""
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

    @property
    def who(self) -> str:
        return who_acts(self.cause)


def who_acts(cause: str) -> str:
    return WHO.get(cause, "operator")


def mark_of(cause: str) -> str:
    return MARKS.get(cause, "warn")


def edge_of(causes: Iterable[str]) -> str:
    """Of the card that has them all: the worst one's mark."""
    mark = mark_of(min(causes, key=lambda cause: RANKS.get(cause, len(RANKS)), default="late"))
    return "warn" if mark == "full" else mark


def cause_name(r: Reader, cause: str) -> str:
    """Without the value of now, which is of no trouble that is over."""
    key = f"trouble.name.{cause}"
    return r.t(key) if key in r.t else plain(r.text_of("cause", cause), 60)


def snoozed(view: View, now: int) -> frozenset[str]:
    """Causes that somebody left out of the count for now."""
    return frozenset(one["cause"] for one in view["troubles"] if (one["snoozed_until"] or 0) > now)


def open_alerts(view: View, now: int) -> int:
    """Troubles that go on and that nobody left out of the count for now."""
    return len(view["troubles"]) - len(snoozed(view, now))


def noticed_at(view: View, cause: str) -> int | None:
    """Of what has no beginning of its own: when its row began."""
    return next((one["began_at"] for one in view.get("troubles") or () if one["cause"] == cause), None)


def stands(view: View, cause: str) -> bool:
    """It began already, and is not recorded as over."""
    return noticed_at(view, cause) is not None


def is_connected(view: View) -> bool:
    """What it reported is of now."""
    return view["connection"] in ("live", "late")


def gone_expectedly(view: View, now: int) -> bool:
    """After an announced reboot or update, recently."""
    since = view["connection_since"] or now
    return (
        view["connection"] == "offline"
        and view["connection_reason"] in ("reboot", "update")
        and now - since <= EXPECTED_BACK_MS
    )


def health_causes(view: View) -> list[MachineTrouble]:
    """Lasting ones, worst first; none for old readings."""
    if not is_connected(view):
        return []
    readings = view["readings"] or {}
    found = [
        MachineTrouble(view["id"], cause, readings.get(one["code"]), one["since"])
        for one in view["lasting"] or ()
        if (cause := HEALTH_CAUSES.get(one["code"]))
    ]
    return sorted(found, key=lambda one: one.rank)


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
    """And since when: the last one could not be restored, or holds nothing to restore, or a good one is overdue, or one
    that was tested; of a quota, when it is reached."""
    backup = view.get("backup") or {}
    found: list[tuple[str, int]] = []
    if backup.get("drill_failed_at") is not None:
        found.append(("backup_drill", backup["drill_failed_at"]))
    if backup.get("only_agent") and backup.get("good_at") is not None:
        found.append(("backup_empty", backup["good_at"]))
    if backup.get("late_at") is not None and backup["late_at"] <= now:
        good_at = backup.get("good_at")
        found.append(("backup_late", view["created_at"] if good_at is None else good_at))
    elif backup.get("unverified_at") is not None and backup["unverified_at"] <= now:
        found.append(("backup_unverified", backup["unverified_at"]))
    full_at = backup.get("full_at")
    if full_at is not None:
        found.append(("backup_full" if full_at <= now else "backup_quota", full_at))
    return found


def trouble(view: View, now: int) -> MachineTrouble | None:
    """The worst, or None."""
    found = causes(view, now)
    return worst(found) if found else None


def worst(found: Iterable[MachineTrouble]) -> MachineTrouble:
    return min(found, key=lambda one: one.rank)


def causes(view: View, now: int) -> list[MachineTrouble]:
    """Out of service, a machine may be switched off and worked on, and of what begins then only heat counts; what was
    wrong with it before stays wrong until it is over."""
    found, resting = [*_declared(view, now), *settings_causes(view, now)], view["effective_status"] in RESTING
    if view["connection"] == "offline":
        is_gone = not resting and now - away_since(view, now) > OFFLINE_ALARM_MS
        return found + ([gone(view)] if is_gone else [])
    there = _of_readings(view) + _of_backups(view, now)
    return found + [one for one in there if not resting or one.cause == "hot" or stands(view, one.cause)]


def _declared(view: View, now: int) -> list[MachineTrouble]:
    """What the hub, the machine, or somebody on site declared."""
    rvm_id, status, found = view["id"], view["effective_status"], []
    if quarantined(view, now):
        found.append(MachineTrouble(rvm_id, "quarantined", None, view["connection_since"]))
    if status == "error" or view["error_since"] is not None:
        since = view["status_since"] if view["error_since"] is None else view["error_since"]
        found.append(MachineTrouble(rvm_id, "error", None, since))
    if status == "full" or is_full_at_rest(view):
        since = noticed_at(view, "full") or view["status_since"]  # a session that ends declares it anew
        found.append(MachineTrouble(rvm_id, "full", view["capacity"], since))
    if view["connection"] == "never" and now - view["created_at"] > NEVER_ALARM_MS:
        found.append(MachineTrouble(rvm_id, "never", None, view["created_at"]))
    elif status == "unknown" and is_connected(view):
        found.append(MachineTrouble(rvm_id, "unknown", None, view["status_since"]))
    return found


def is_nearly_full(view: View) -> bool:
    """Soon it takes no more; what is full already says so by its status."""
    is_full = view["effective_status"] == "full" or is_full_at_rest(view)
    return bool(view["capacity"] >= NEARLY_FULL and not is_full)


def is_full_at_rest(view: View) -> bool:
    """It was full when it was taken out of service, and nobody has emptied it since."""
    if view["effective_status"] not in RESTING:
        return False
    return bool(view["status"] == "full" or view["capacity"] >= NEARLY_FULL) and stands(view, "full")


def is_worn(view: View) -> bool:
    return view["disk_worn"] is not None and bool(view["disk_worn"] >= WORN)


def settings_causes(view: View, now: int) -> list[MachineTrouble]:
    """Which board uses its key, how long its certificate counts, what it does not take from us: settings, its zone."""
    found = []
    if view["board_other_at"] is not None:
        cause = BOARD_CAUSES.get(view["board_question"], "board")
        found.append(MachineTrouble(view["id"], cause, None, view["board_other_at"]))
    if (certificate := certificate_cause(view, now)) is not None:
        found.append(certificate)
    if view["config_refused"]:
        since = noticed_at(view, "refused") or view["config_applied_at"]  # each hello reports it anew
        found.append(MachineTrouble(view["id"], "refused", view["config_refused"], since))
    if view["zone_wrong"] is not None:
        found.append(MachineTrouble(view["id"], "zone", None, view["zone_wrong"]))
    return found


def certificate_cause(view: View, now: int) -> MachineTrouble | None:
    """The value is when it ends."""
    ends = view.get("certificate") or {}
    for level in ("ends", "very_soon", "soon"):
        since = ends.get(f"{level}_at")
        if since is not None and since <= now:
            cause = "certificate_expired" if level == "ends" else f"certificate_{level}"
            return MachineTrouble(view["id"], cause, ends["ends_at"], since)
    return None


def _of_readings(view: View) -> list[MachineTrouble]:
    found = health_causes(view)
    if is_nearly_full(view):
        found.append(MachineTrouble(view["id"], "nearly_full", view["capacity"], noticed_at(view, "nearly_full")))
    if is_worn(view):
        found.append(MachineTrouble(view["id"], "worn", view["disk_worn"], noticed_at(view, "worn")))
    if clock_cause(view):
        found.append(MachineTrouble(view["id"], "clock", view["clock_offset_s"], noticed_at(view, "clock")))
    return found


def _of_backups(view: View, now: int) -> list[MachineTrouble]:
    return [
        MachineTrouble(view["id"], cause, at if cause in AGES else None, backup_since(view, cause, at))
        for cause, at in backup_causes(view, now)
    ]


def backup_since(view: View, cause: str, at: int) -> int | None:
    return noticed_at(view, cause) if cause in QUOTAS else at


def away_since(view: View, now: int) -> int:
    since: int = view["connection_since"] or view["last_seen_at"] or now
    return since + EXPECTED_BACK_MS if gone_expectedly(view, now) else since


def gone(view: View) -> MachineTrouble:
    """Of an offline machine."""
    reason = view["connection_reason"]
    cause = "shutdown" if reason == "shutdown" else "not_back" if reason in ("reboot", "update") else "offline"
    return MachineTrouble(view["id"], cause, None, view["connection_since"] or view["last_seen_at"])


def other_at(view: View, now: int) -> int | None:
    """When time alone changes the trouble."""
    return other_moment(turning_points(view), now, lambda at: _cause(view, at))


def turning_points(view: View) -> tuple[int, ...]:
    """When time may change the causes; before the first after now they stay as they are."""
    since = view["connection_since"] or view["last_seen_at"]
    away = () if since is None else (since + OFFLINE_ALARM_MS + 1, since + EXPECTED_BACK_MS + 1)
    added = (view["created_at"] + NEVER_ALARM_MS + 1,) if view["connection"] == "never" else ()
    return (*away, *added, *moments(view))


def moments(view: View) -> tuple[int, ...]:
    """When time may change it, whatever the connection."""
    backup, certificate = view.get("backup") or {}, view.get("certificate") or {}
    known = (
        view.get("quarantined_until"),
        backup.get("late_at"),
        backup.get("unverified_at"),
        backup.get("full_at"),
        *certificate.values(),
    )
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
