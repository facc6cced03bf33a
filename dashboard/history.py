"""Decides what the address of a History page asks for, and the addresses that lead on. Pure.

`?range=24h`, or `?from=…&to=…` with the range that "back to live" leads to; `zone=`: whose clock. Instants are epoch
milliseconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, timezone
from math import gcd
from typing import Final
from urllib.parse import urlencode

from dashboard import formats

RANGES: Final[Mapping[str, int]] = {
    "10m": 600, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000,
}  # fmt: skip
"""Seconds, in the order of the bar and of the keys `t 1` to `t 7`."""
USUAL: Final = "24h"
ZONES: Final = ("site", "mine", "utc")
"""Whose clock the page is read by: where the machine stands, the reader's own choice, nobody's."""
WIDTHS: Final = (
    1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
    259_200, 604_800, 1_209_600,
)  # fmt: skip
"""Of buckets, in seconds: what a clock shows."""
MOST_POINTS: Final = 720
MOST_ROWS: Final = 32
LEAST_MS: Final = 60_000
MOST_DAYS: Final = 366
MOST_MS: Final = MOST_DAYS * 86_400_000
REFRESH_S: Final = (5, 900)
"""A range up to now is read again with each bucket, within these bounds."""
NEARLY: Final = 20
"""What ends so near to now, by a part of the range, is up to now: a page is looked at for a while."""
_SPACED_OFFSET: Final = re.compile(r" (\d\d:?\d\d)$")
"""A plus sign in an address that somebody typed is a space."""


@dataclass(frozen=True, slots=True)
class HistoryChoice:
    """`key`: the range up to now, "" for one between two instants; `back`: the range that live leads to. `given`: what
    stood in the address; `faults`: its members that are wrong, with the code of what is."""

    base: str
    zone: str
    now: int
    key: str
    back: str
    start: int
    end: int
    given: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    local: bool = False
    zone_key: str = ""
    """One of ZONES that the address names, and all that lead on; "": the reader's own, else the site's."""

    @property
    def live(self) -> bool:
        return bool(self.key)

    @property
    def width(self) -> int:
        """Of a bucket, ms."""
        return _width(self.end - self.start, MOST_POINTS, 1)

    @property
    def row_width(self) -> int:
        """Of a row of a table, ms."""
        return _width(self.end - self.start, MOST_ROWS, self.width // 1000)

    @property
    def first(self) -> int:
        """Where the first bucket begins: a full one by the clock of the zone there."""
        return self._full(self.width)

    @property
    def first_row(self) -> int:
        return self._full(self.row_width)

    def _full(self, width: int) -> int:
        ahead = formats.instant(self.start).astimezone(formats.zone(self.zone)).utcoffset()
        shift = 0 if ahead is None else int(ahead.total_seconds()) * 1000
        return (self.start + shift) // width * width - shift

    @property
    def until(self) -> int | None:
        """When it is to be read again; None: what it shows does not move."""
        least, most = REFRESH_S
        return self.now + min(max(self.width, least * 1000), most * 1000) if self.live else None

    @property
    def members(self) -> dict[str, str]:
        if self.live:
            return {"range": self.key, **self._kept}
        return {"from": written(self.start), "to": written(self.end), "range": self.back, **self._kept}

    @property
    def _kept(self) -> dict[str, str]:
        return {"zone": self.zone_key} if self.zone_key else {}

    def share(self, at: int) -> float:
        """In percent of the range."""
        return round((at - self.start) * 100 / (self.end - self.start), 2)

    @property
    def here(self) -> str:
        return self.of(self.key) if self.live else self.between(self.start, self.end)

    def of(self, key: str, path: str = "") -> str:
        return f"{self.base}{path}?{urlencode({'range': key, **self._kept})}"

    def between(self, start: int, end: int, path: str = "") -> str:
        members = {"from": written(start), "to": written(end), "range": self.back, **self._kept}
        return f"{self.base}{path}?{urlencode(members, safe=':')}"

    def at(self, path: str) -> str:
        """The same range at another address below this page's; what is wrong with it stays so."""
        if self.faults:
            return f"{self.base}{path}?{urlencode({**self.given, **self._kept})}"
        return self.of(self.key, path) if self.live else self.between(self.start, self.end, path)

    def by_clock_of(self, zone_key: str) -> str:
        """The same range."""
        return replace(self, zone_key=zone_key).here

    @property
    def asked(self) -> dict[str, str]:
        """For the fields of a browser, which take nothing else than a time: what was wrong stands in its sentence."""
        if not self.faults:
            return {"from": typed(self.start, self.zone), "to": typed(self.end, self.zone)}
        read = {name: _instant(self.given.get(name, ""), self.zone) for name in ("from", "to")}
        return {name: "" if at is None else typed(at, self.zone) for name, at in read.items()}

    @property
    def to_live(self) -> str:
        return self.of(self.back)

    @property
    def earlier(self) -> str:
        span = self.end - self.start
        return self.between(self.start - span, self.start)

    @property
    def later(self) -> str | None:
        """None: it ends now."""
        span = self.end - self.start
        if self.end >= self.now:
            return None
        if self.end + span < self.now - span // NEARLY:
            return self.between(self.end, self.end + span)
        fits = span == RANGES[self.back] * 1000
        return self.to_live if fits else self.between(self.now - span, self.now)

    @property
    def wider(self) -> str | None:
        """Twice as much around the middle; a range of the bar where it ends now. None: it is the widest."""
        span = self.end - self.start
        if self.live:
            wider = next((key for key, seconds in RANGES.items() if seconds * 1000 > span), None)
            return None if wider is None else self.of(wider)
        if span >= MOST_MS:
            return None
        end = min(self.end + span // 2, max(self.now, self.end))
        return self.between(end - min(2 * span, MOST_MS), end)

    def around(self, at: int) -> str:
        """As wide as this, up to just behind that instant."""
        span = self.end - self.start
        end = min(at + span // 10, self.now)
        return self.between(end - span, end)

    @property
    def naive(self) -> bool:
        """Somebody typed local times: the address that is shared names instants."""
        return self.local and not self.faults


TICKS: Final = 6
TICK_MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720)
TICK_DAYS: Final = (1, 2, 3, 5, 7, 10, 15, 30, 61, 122)
QUARTER: Final = 15
"""Minutes: zones are ahead of UTC by a multiple of it."""


def ticks(choice: HistoryChoice, language: str) -> list[tuple[int, str]]:
    """Where the axis is labelled: at full hours of the zone's clock, or at its midnights, with the day there."""
    minutes = (choice.end - choice.start) / 60_000 / TICKS
    step = next((step for step in TICK_MINUTES if step >= minutes), None)
    if step:
        return _clock_ticks(choice, language, step)
    days = next((days for days in TICK_DAYS if days * 1440 >= minutes), TICK_DAYS[-1])
    zone = formats.zone(choice.zone)
    day = formats.instant(choice.start).astimezone(zone).date()
    found: list[tuple[int, str]] = []
    while (midnight := _ms(datetime.combine(day, time(), zone))) < choice.end:
        found.append((midnight, formats.day(datetime.combine(day, time()), language, "d MMM")))
        day += timedelta(days=days)
    return [(at, words) for at, words in found if choice.start <= at]


def _clock_ticks(choice: HistoryChoice, language: str, step: int) -> list[tuple[int, str]]:
    """Instant by instant: in the night when clocks change an hour is there twice, or not at all."""
    zone, stride = formats.zone(choice.zone), gcd(step, QUARTER) * 60_000
    found: list[tuple[int, str]] = []
    before = formats.instant(choice.start - 1).astimezone(zone).date()
    for at in range(-(-choice.start // stride) * stride, choice.end, stride):
        there = formats.instant(at).astimezone(zone)
        if there.date() > before:
            found.append((at, formats.day(there, language, "d MMM")))
        elif (there.hour * 60 + there.minute) % step == 0:
            found.append((at, formats.clock(formats.instant(at), choice.zone, language)))
        before = max(before, there.date())
    return found


def _ms(at: datetime) -> int:
    return int(at.astimezone(timezone.utc).timestamp() * 1000)


def written(at: int) -> str:
    return f"{formats.instant(at // 1000 * 1000):%Y-%m-%dT%H:%M:%S}Z"


def typed(at: int, zone: str) -> str:
    """For a field of the browser's: `2026-11-23T14:00` there."""
    return f"{formats.instant(at).astimezone(formats.zone(zone)):%Y-%m-%dT%H:%M}"


def choice_from(params: Mapping[str, str], base: str, now: int, zone: str) -> HistoryChoice:
    wanted, given = params.get("range", ""), {name: params[name][:40] for name in ("from", "to") if params.get(name)}
    faults = {"range": "unknown"} if wanted and wanted not in RANGES else {}
    key = wanted if wanted in RANGES else USUAL
    asked = given | ({"range": wanted[:40]} if faults else {})
    zone_key = params.get("zone", "")
    if zone_key and zone_key not in ZONES:
        faults, asked, zone_key = faults | {"zone": "zone"}, asked | {"zone": zone_key[:40]}, ""
    usual = HistoryChoice(
        base, zone, now, key, key, now - RANGES[key] * 1000, now, asked, faults, zone_key=zone_key
    )  # fmt: skip
    if not given:
        return usual
    read = {name: _instant(given[name], zone) for name in given}
    faults |= {name: "wrong" for name, at in read.items() if at is None}
    faults |= {name: "missing" for name in ("from", "to") if name not in given}
    start, end = read.get("from"), read.get("to")
    if start is None or end is None:
        return replace(usual, faults=faults)
    if end - start < LEAST_MS:
        faults["to"] = "before_from" if end <= start else "too_near"
    elif end - start > MOST_MS:
        faults["from"] = "too_far"
    if faults:
        return replace(usual, faults=faults)
    local = any(not _zoned(text) for text in given.values())
    return replace(usual, key="", start=start, end=end, local=local)


def _plain(text: str) -> str:
    return _SPACED_OFFSET.sub(r"+\1", text.strip().replace("Z", "+00:00").replace("z", "+00:00"))


def _zoned(text: str) -> bool:
    found = _read(text)
    return found is not None and found.tzinfo is not None


def _read(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_plain(text))
    except ValueError:
        return None


def _instant(text: str, zone: str) -> int | None:
    found = _read(text)
    if found is None or not 1970 < found.year < 9000:
        return None
    aware = found if found.tzinfo is not None else found.replace(tzinfo=formats.zone(zone))
    return int(aware.astimezone(timezone.utc).timestamp() * 1000)


def _width(span_ms: int, most: int, of: int) -> int:
    """The least that needs at most so many, one more for the part at the beginning."""
    span = span_ms / 1000
    fitting = (width for width in WIDTHS if width % of == 0 and span / width + 1 <= most)
    return next(fitting, WIDTHS[-1]) * 1000
