"""Decides what the address of an Events page asks for, and the addresses that lead on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from dashboard import formats


@dataclass(frozen=True, slots=True)
class EventChoice:
    """`base`: the page's path. `machine`: a name, device_id or id; `start` and `end`: days, both included; `before`:
    the event the list goes on from; `raw`: every event for itself."""

    base: str = "/events"
    kinds: tuple[str, ...] = ()
    actor: str = ""
    machine: str = ""
    text: str = ""
    start: str = ""
    end: str = ""
    before: int | None = None
    raw: bool = False

    @property
    def by_form(self) -> bool:
        return any((self.actor, self.machine, self.text, self.start, self.end))

    @property
    def filtered(self) -> bool:
        return bool(self.kinds) or self.by_form

    @property
    def members(self) -> dict[str, str]:
        asked = {
            "kind": ",".join(self.kinds), "actor": self.actor, "machine": self.machine, "q": self.text,
            "from": self.start, "to": self.end, "raw": "1" if self.raw else "",
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value}

    def address(self, **changes: Any) -> str:
        wanted = replace(self, **{"before": None, **changes})
        members: dict[str, Any] = dict(wanted.members)
        if wanted.before is not None:
            members["before"] = wanted.before
        return f"{self.base}?{urlencode(members)}" if members else self.base

    def toggled(self, kind: str) -> str:
        chosen = tuple(each for each in self.kinds if each != kind)
        return self.address(kinds=chosen if kind in self.kinds else (*self.kinds, kind))

    @property
    def wrong_days(self) -> list[str]:
        return [name for name, text in (("from", self.start), ("to", self.end)) if text and _day(text) is None]

    def instants(self, zone: str) -> tuple[datetime | None, datetime | None]:
        """Begin of the first day to the end of the last, in `zone`."""
        start, end = _day(self.start), _day(self.end)
        return (
            None if start is None else _midnight(start, zone),
            None if end is None else _midnight(end + timedelta(days=1), zone),
        )


def choice_from(
    params: Mapping[str, str], base: str, kinds: Sequence[str], row_id: Callable[[str], int | None]
) -> EventChoice:
    def text(name: str) -> str:
        return "".join(letter for letter in params.get(name, "") if letter.isprintable()).strip()[:100]

    named = [part.strip() for part in params.get("kind", "")[:1000].split(",")]
    return EventChoice(
        base=base,
        kinds=tuple(kind for kind in kinds if kind in named),
        actor=text("actor"),
        machine=text("machine"),
        text=text("q"),
        start=text("from"),
        end=text("to"),
        before=row_id(params.get("before", "")),
        raw=params.get("raw") == "1",
    )


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1970 <= found.year < 9000 else None


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), formats.zone(zone)).astimezone(timezone.utc)
