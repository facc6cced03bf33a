"""Decides what is recorded of a machine's troubles, one row a cause, from its beginning to its end; and what people do
about one: who is on it, until when it is not counted, what was noted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from db.conditions import Where
from db.trouble_records import TroubleRow
from hub.model.actors import CLOCK, SYSTEM, Actor
from hub.model.changes import Change, EventHappened, Patch, Put
from hub.model.dating import find_zone
from hub.model.machine import HOLD_S
from hub.model.presence import RELEASE_S

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "away": ("offline", "not_back", "shutdown", "never"),
    "machine": ("error", "full", "nearly_full", "unknown"),
    "health": ("hot", "disk", "worn", "memory", "cpu", "clock", "zone"),
    "security": ("quarantined", "copy", "board", "board_waits", "certificate_expired", "certificate_very_soon",
                 "certificate_soon", "refused"),
    "backups": ("backup_drill", "backup_empty", "backup_late", "backup_unverified", "backup_full", "backup_quota"),
    "approval": ("approval",),
}  # fmt: skip
"""Kinds of trouble as people choose them, with their causes."""
KIND_OF: Final = {cause: kind for kind, causes in GROUPS.items() for cause in causes}
CHOICES: Final = ("1h", "4h", "tomorrow")
"""For how long a trouble may be snoozed."""
MORNING: Final = 7
"""The hour of tomorrow, where the machine stands."""
UNDO: Final = timedelta(minutes=10)
"""What somebody did may be taken back for so long, unless something else was done since."""
SHOWN: Final = timedelta(seconds=10)
"""The way back is offered where it was done."""

AT_FIRST: Final = timedelta(minutes=1)
"""So long a machine that was just added may take to connect without having been in trouble."""


class CauseNow(NamedTuple):
    """A cause that holds now. `since` None: nobody knows; it is noticed now."""

    cause: str
    since: datetime | None
    value: float | None


class Person(NamedTuple):
    id: int
    name: str
    actor: Actor


_HUB: Final = Person(0, "", CLOCK)
_NOBODY: Final[Mapping[str, Any]] = {"owner_id": None, "owner": None, "taken_at": None}


def recorded(
    rvm_id: int, holding: Mapping[str, CauseNow], known: Mapping[str, TroubleRow], now: datetime, kept: frozenset[str]
) -> list[Change]:
    """`known`: those recorded as open. `kept`: causes that nobody can judge now: not over because they are not seen."""
    began: list[Change] = [Put(_row(rvm_id, one, now)) for cause, one in holding.items() if cause not in known]
    return began + [over(row, now) for cause, row in known.items() if cause not in holding and cause not in kept]


def _row(rvm_id: int, one: CauseNow, now: datetime) -> TroubleRow:
    began_at = now if one.since is None else min(one.since, now)
    return TroubleRow(rvm_id=rvm_id, cause=one.cause, value=one.value, began_at=began_at, noticed_at=now)


def over(row: TroubleRow, now: datetime) -> Patch:
    """Who is on it and the note stay with the row: they are what was done about it."""
    return Patch(TroubleRow, row.id, {"ended_at": max(now, row.began_at)}, where=_while_open(row))


def _while_open(row: TroubleRow) -> Where:
    return (("rvm_id", "=", row.rvm_id), ("ended_at", "=", None))


def gone_with(over: TroubleRow, offline: Iterable[TroubleRow | None], apart: timedelta) -> list[TroubleRow]:
    """Of those that are offline, which went together with one that is back."""
    if over.cause != "offline":
        return []
    return [row for row in offline if row is not None and abs(row.began_at - over.began_at) <= apart]


def taken(row: TroubleRow, by: Person, now: datetime) -> list[Change]:
    """Only from whom the row names: of two at once one is late (Conflict)."""
    params = {"from": row.owner} if row.owner_id is not None else {}
    return _acted(row, "trouble.taken", {"owner_id": by.id, "owner": by.name, "taken_at": now}, by, now, params)


def released(row: TroubleRow, by: Person, now: datetime) -> list[Change]:
    return _acted(row, "trouble.released", _NOBODY, by, now)


def left(row: TroubleRow, now: datetime) -> list[Change]:
    """Whoever is on it may no longer act on it: nobody is to wait for them."""
    return _acted(row, "trouble.released", _NOBODY, _HUB, now, {"left": row.owner or ""})


def snoozed(row: TroubleRow, until: datetime, note: str | None, by: Person, now: datetime) -> list[Change]:
    values: dict[str, Any] = {"snoozed_until": until, "snoozed_by": by.name}
    if note:
        values |= {"note": note, "note_by": by.name, "note_at": now}
    params = {"until": _text(until)} | ({"note": note} if note else {})
    return _acted(row, "trouble.snoozed", values, by, now, params)


def unsnoozed(row: TroubleRow, by: Person, now: datetime) -> list[Change]:
    return _acted(row, "trouble.unsnoozed", {"snoozed_until": None, "snoozed_by": None}, by, now)


def noted(row: TroubleRow, note: str, by: Person, now: datetime) -> list[Change]:
    values = {"note": note, "note_by": by.name, "note_at": now}
    where: Where = (("rvm_id", "=", row.rvm_id), ("note_at", "=", row.note_at))
    return [Patch(TroubleRow, row.id, values, where, must="id"), _event(row, "trouble.noted", by, now, {"note": note})]


def undone(row: TroubleRow, before: TroubleRow, by: Person, now: datetime) -> list[Change]:
    """As it was: whoever was on it is on it again."""
    return _acted(row, "trouble.undone", {name: getattr(before, name) for name in MEMBERS}, by, now)


WEEK: Final = timedelta(days=7)
SHORT: Final = timedelta(minutes=5)
"""What was over sooner was short-lived."""
LIMITED: Final[Mapping[str, tuple[str, str | None]]] = {
    "hot": ("temperature", "temperature_threshold"),
    "cpu": ("cpu_usage", "cpu_threshold"),
    "memory": ("memory_usage", "memory_threshold"),
    "disk": ("disk_usage", None),
}
"""Causes that are a reading at or beyond a limit: the reading, and the setting that has the limit (None: it is the same
for all)."""


class PastTroubles(NamedTuple):
    """Of one cause: how often it began, how many of these were short-lived, and how long those that are over lasted:
    half of them longer."""

    began: int = 0
    short: int = 0
    typical_s: float | None = None


def past_of(found: Iterable[tuple[str, datetime, datetime | None]]) -> dict[str, PastTroubles]:
    """By cause, of its beginning and end."""
    spans: dict[str, list[timedelta | None]] = {}
    for cause, began_at, ended_at in found:
        spans.setdefault(cause, []).append(None if ended_at is None else ended_at - began_at)
    return {cause: _past(of) for cause, of in spans.items()}


def _past(spans: list[timedelta | None]) -> PastTroubles:
    over = sorted(span for span in spans if span is not None)
    half = len(over) // 2
    typical = (over[half] + over[-half - 1]).total_seconds() / 2 if over else None
    return PastTroubles(len(spans), sum(span < SHORT for span in over), typical)


class Tally(NamedTuple):
    """How often a reading began to count, in samples so far. `since`, `last`: of the samples beyond its limit that go
    on (None: none do), and whether these `count`."""

    times: int = 0
    since: int | None = None
    last: int = 0
    counts: bool = False


NO_TALLY: Final = Tally()


def beginnings(reading: str, samples: Iterable[tuple[int, bool]], since: int, before: Tally = NO_TALLY) -> Tally:
    """`samples`: when, in microseconds, and whether at or beyond the limit, in order. Judged as those that arrive are
    (hub.model.presence.lasting), in numbers: it runs for every sample of a week. Those since `since` are counted."""
    hold, release = int(HOLD_S.get(reading, 0) * 1_000_000), int(RELEASE_S * 1_000_000)
    times, begun, last, counts = before
    for at, is_over in samples:
        if is_over:
            begun, last = at if begun is None else begun, at
            if not counts and last - begun >= hold:
                counts = True
                times += begun >= since
        elif begun is not None and at - last >= release:
            begun, counts = None, False
    return Tally(times, begun, last, counts)


MEMBERS: Final = ("owner_id", "owner", "taken_at", "snoozed_until", "snoozed_by", "note", "note_by", "note_at")
"""What people change of a trouble."""


def same(row: TroubleRow, other: TroubleRow) -> bool:
    return all(getattr(row, name) == getattr(other, name) for name in MEMBERS)


def may_note(row: TroubleRow) -> bool:
    """Whoever is on it writes what was done, also when it is over."""
    return row.owner_id is not None or row.ended_at is not None


def until_of(choice: str, now: datetime, zone: str) -> datetime:
    return tomorrow(now, zone) if choice == "tomorrow" else now + timedelta(hours=int(choice[:-1]))


def tomorrow(now: datetime, zone: str) -> datetime:
    """At MORNING, by the clocks of that zone."""
    local = now.astimezone(find_zone(zone) or timezone.utc) + timedelta(days=1)
    return local.replace(hour=MORNING, minute=0, second=0, microsecond=0)


def _acted(
    row: TroubleRow,
    code: str,
    values: Mapping[str, Any],
    by: Person,
    now: datetime,
    params: Mapping[str, Any] | None = None,
) -> list[Change]:
    """Only of the row that was seen: what others did meanwhile is a Conflict."""
    where: Where = (
        *_while_open(row),
        ("owner_id", "=", row.owner_id), ("taken_at", "=", row.taken_at), ("snoozed_until", "=", row.snoozed_until),
    )  # fmt: skip
    return [Patch(TroubleRow, row.id, dict(values), where, must="id"), _event(row, code, by, now, params or {})]


def _event(row: TroubleRow, code: str, by: Person, now: datetime, params: Mapping[str, Any]) -> EventHappened:
    about: dict[str, Any] = {"trouble_id": row.id, "cause": row.cause, **params}
    if by.actor == SYSTEM and by.name:
        about["person"] = by.name  # by the command line, in the name of somebody
    return EventHappened(at=now, code=code, actor=by.actor, rvm_id=row.rvm_id, params=about)


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
