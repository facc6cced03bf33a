"""The formats of the hub, by the table that also holds the browser's."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dashboard import formats
from dashboard.reader import Reader

TABLE: dict[str, list[list[Any]]] = json.loads((Path(__file__).parent / "fixtures/formats.json").read_text("utf-8"))


@pytest.mark.parametrize(("value", "language", "decimals", "text"), TABLE["number"])
def test_a_number_is_written_as_its_readers_write_it(value: float, language: str, decimals: int, text: str) -> None:
    assert formats.number(value, language, decimals) == text


@pytest.mark.parametrize(("metric", "value", "language", "text"), TABLE["reading"])
def test_a_reading_has_its_unit(metric: str, value: float, language: str, text: str) -> None:
    assert formats.reading(metric, value, language) == text


@pytest.mark.parametrize(("size", "language", "text"), TABLE["amount"])
def test_amounts_of_bytes(size: float, language: str, text: str) -> None:
    assert formats.amount(size, language) == text


@pytest.mark.parametrize("name", ["age", "span", "offset"])
def test_durations(name: str) -> None:
    for seconds, language, text in TABLE[name]:
        assert getattr(formats, name)(seconds, language) == text


@pytest.mark.parametrize(("ms", "zone", "language", "seconds", "text"), TABLE["clock"])
def test_a_clock_shows_the_zone_it_was_asked_for(ms: int, zone: str, language: str, seconds: bool, text: str) -> None:
    assert formats.clock(formats.instant(ms), zone, language, seconds=seconds) == text


@pytest.mark.parametrize(("zone", "label"), TABLE["zone_label"])
def test_zones_have_the_names_people_use(zone: str, label: str) -> None:
    assert formats.zone_label(zone, formats.instant(1795370531000)) == label


@pytest.mark.parametrize(("ms", "now", "zone", "language", "text"), TABLE["day"])
def test_days_near_now_are_named(ms: int, now: int, zone: str, language: str, text: str) -> None:
    assert Reader(language, "auto", zone, now).day(ms) == text


@pytest.mark.parametrize("name", ["../../etc/passwd", "\x00", "", "Asia/Jakarta\n", "x" * 5000])
def test_a_zone_name_from_a_machine_cannot_hurt(name: str) -> None:
    assert formats.clock(formats.instant(0), name, "en") == "07:00"


@pytest.mark.parametrize("seconds", [251_606_855_410, -63_931_042_191, 1e15, -1e15])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "UTC"])
def test_a_clock_that_no_calendar_holds_breaks_no_page(seconds: float, zone: str) -> None:
    """A machine's clock may say the year 1 or 9999; its page shows its time."""
    reader = Reader("en", "auto", zone, 1795370531000)
    there = reader.now + int(seconds * 1000)
    assert reader.clock(there, zone)
    assert reader.stamp(there)
    assert reader.day(there)


@pytest.mark.parametrize(
    ("value", "language", "grouped", "text"),
    [
        (1234, "id", True, "1.234"),
        (1234, "id", False, "1234"),
        (1234.25, "en", False, "1234.25"),
        (82.5, "id", True, "82,5"),
        (0.1234567, "en", True, "0.123457"),
        (1e300, "en", False, "1" + "0" * 300),
    ],
)
def test_a_measured_number_has_the_decimals_it_has(value: float, language: str, grouped: bool, text: str) -> None:
    assert formats.measured(value, language, grouped=grouped) == text


def test_a_whole_day_and_a_whole_instant() -> None:
    at = formats.instant(1795370531000)
    assert formats.date(at, "Asia/Jakarta", "id") == "Senin, 23 Nov 2026"
    assert formats.date(at, "Asia/Jakarta", "en") == "Monday, 23 Nov 2026"
    assert formats.stamp(at, "Asia/Jakarta", "id") == "23 Nov 2026 01.02.11 WIB"


def test_where_clocks_changed_since_a_time_has_its_own_zone() -> None:
    """The head of the list names the one of now: an hour that was there twice stands there as two."""
    winter = int(datetime(2026, 11, 30, 12, tzinfo=timezone.utc).timestamp() * 1000)
    first, second = (int(datetime(2026, 11, 1, hour, 30, tzinfo=timezone.utc).timestamp() * 1000) for hour in (5, 6))
    r = Reader("en", "auto", "Asia/Jakarta", winter)
    assert r.zone_label("America/New_York") == "UTC\u22125"
    assert [r.when(at, "America/New_York") for at in (first, second)] == ["1 Nov 01:30 UTC\u22124", "1 Nov 01:30"]
    assert [r.time(at, "America/New_York") for at in (first, second)] == ["01:30:00 UTC\u22124", "01:30:00"]
    assert (r.when(first), r.time(first, "Asia/Jakarta")) == ("1 Nov 12:30", "12:30:00")
