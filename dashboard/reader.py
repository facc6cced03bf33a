"""One reader of one page: language, theme, zone and the page's instant, with all formats bound to them. Templates'
`r`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dashboard import formats
from dashboard.texts import texts_in
from texts.catalogue import Texts
from texts.languages import LANGUAGES

HOURS_MS = 12 * 3_600_000
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True, slots=True)
class Reader:
    language: str
    theme: str
    zone: str
    now: int
    """Hub epoch milliseconds: every age on the page is counted from here."""
    own_zone: str | None = None
    """Chosen by the person."""
    person: int = 0

    @property
    def t(self) -> Texts:
        return texts_in(self.language)

    @property
    def mark(self) -> str:
        """In an address of what this page fetches: `id.Asia/Jayapura.own.7`."""
        return f"{self.language}.{self.zone}.{'own' if self.own_zone else ''}.{self.person}"

    def of_page(self, mark: str | None) -> Reader | None:
        """As the page of that mark was drawn; as they are without one, or with one that no page has. None: a page of
        somebody else."""
        language, zone, own, person = (*(mark or "").split("."), "", "", "")[:4]
        if language not in LANGUAGES or not formats.is_zone(zone) or not person:
            return self
        if person != str(self.person):
            return None
        return replace(self, language=language, zone=zone, own_zone=zone if own else None)

    def zone_at(self, site: str) -> str:
        return self.own_zone or site

    def number(self, value: float, decimals: int = 0) -> str:
        return formats.number(value, self.language, decimals)

    def percent(self, value: float) -> str:
        return formats.percent(value, self.language)

    def reading(self, metric: str, value: float) -> str:
        return formats.reading(metric, value, self.language)

    def amount(self, size: float) -> str:
        return formats.amount(size, self.language)

    def worth(self, cause: str, value: float | None) -> str:
        if cause == "backup_quota" or cause.startswith("certificate"):
            return formats.age(max(0.0, ((value or 0) - self.now) / 1000), self.language)
        if cause.startswith("backup"):
            return self.age(int(value or 0))
        if cause.startswith("clock"):
            return self.offset(value or 0)
        return self.reading("temperature" if cause == "hot" else "share", value or 0)

    def limit(self, metric: str, value: float) -> str:
        unit = "°C" if metric == "temperature" else "%"
        return f"{self.number(value, 0 if value == int(value) else 1)}{formats.THIN}{unit}"

    def age(self, ms: int | None) -> str:
        return formats.age((self.now - (ms if ms is not None else self.now)) / 1000, self.language)

    def ago(self, ms: int | None) -> str:
        return self.t("ago", age=self.age(ms))

    def moment(self, ms: int) -> str:
        """`14:02`; of another time than these hours with its day."""
        return self.clock(ms, self.zone) if self.now - ms < HOURS_MS else self.day(ms)

    def span(self, seconds: float) -> str:
        return formats.span(seconds, self.language)

    def offset(self, seconds: float) -> str:
        return formats.offset(seconds, self.language)

    def clock(self, ms: int, zone: str | None = None, *, seconds: bool = False) -> str:
        return formats.clock(formats.instant(ms), zone or self.zone, self.language, seconds=seconds)

    def day(self, ms: int, zone: str | None = None) -> str:
        zone = zone or self.zone
        at = formats.instant(ms)
        label = formats.zone_label(zone, at)
        return f"{formats.day_clock(at, formats.instant(self.now), zone, self.language)} {label}"

    def when(self, ms: int, zone: str | None = None) -> str:
        """As `day`, in a list whose head names the zone."""
        zone = zone or self.zone
        shown = formats.day_clock(formats.instant(ms), formats.instant(self.now), zone, self.language)
        return f"{shown}{self._aside(ms, zone)}"

    def time(self, ms: int, zone: str) -> str:
        """`14:02:11`, in a list whose head names the zone."""
        return f"{self.clock(ms, zone, seconds=True)}{self._aside(ms, zone)}"

    def _aside(self, ms: int, zone: str) -> str:
        """Where clocks changed since, the head is not true of it: an hour is there twice, or an hour off."""
        label = formats.zone_label(zone, formats.instant(ms))
        return "" if label == self.zone_label(zone) else f" {label}"

    def date(self, ms: int, zone: str | None = None) -> str:
        return formats.date(formats.instant(ms), zone or self.zone, self.language)

    def stamp(self, ms: int, zone: str | None = None) -> str:
        return formats.stamp(formats.instant(ms), zone or self.zone, self.language)

    def zone_label(self, zone: str | None = None) -> str:
        return formats.zone_label(zone or self.zone, formats.instant(self.now))

    def text_of(self, prefix: str, code: str, **params: Any) -> str:
        """Of a code from a machine or a newer hub: without a text, the code itself."""
        key = f"{prefix}.{code}"
        return self.t(key, **params) if key in self.t else code
