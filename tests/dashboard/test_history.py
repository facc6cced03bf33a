"""Which time the address of a History page means, and where its ways lead."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import pytest

from dashboard import formats
from dashboard.history import MOST_POINTS, MOST_ROWS, RANGES, USUAL, HistoryChoice, choice_from, ticks, typed, written

NOW = int(datetime(2026, 11, 23, 7, 3, 11, tzinfo=timezone.utc).timestamp() * 1000)
BASE = "/machines/7/history"
DAY = 86_400_000


def chosen(address: str = "", zone: str = "Asia/Jakarta", now: int = NOW) -> HistoryChoice:
    return choice_from(dict(parse_qsl(urlsplit(address).query)), BASE, now, zone)


@pytest.mark.parametrize("key", RANGES)
def test_every_range_is_up_to_now_in_few_points_and_rows(key: str) -> None:
    choice = chosen(f"?range={key}")
    assert (choice.key, choice.end, choice.live, choice.faults) == (key, NOW, True, {})
    assert choice.end - choice.start == RANGES[key] * 1000
    assert (choice.end - choice.first) / choice.width <= MOST_POINTS
    assert (choice.end - choice.first_row) / choice.row_width <= MOST_ROWS
    assert choice.row_width % choice.width == 0
    assert choice.first <= choice.start < choice.first + choice.width
    assert chosen(choice.here) == choice


def test_without_a_range_a_day_is_shown() -> None:
    assert chosen().key == USUAL == "24h"


def test_buckets_begin_at_full_hours_of_the_zone() -> None:
    for zone in ("Asia/Jakarta", "Asia/Kolkata", "America/New_York"):
        choice = chosen("?range=90d", zone)
        first = formats.instant(choice.first).astimezone(formats.zone(zone))
        assert (first.hour % 6, first.minute, first.second) == (0, 0, 0), zone


def test_local_times_are_read_in_the_zone_and_written_as_instants() -> None:
    choice = chosen("?from=2026-11-20T14:00&to=2026-11-21T02:30&range=7d")
    assert (choice.live, choice.back, choice.naive) == (False, "7d", True)
    assert choice.here == f"{BASE}?from=2026-11-20T07:00:00Z&to=2026-11-20T19:30:00Z&range=7d"
    again = chosen(choice.here)
    assert (again.start, again.end, again.naive) == (choice.start, choice.end, False)
    assert typed(again.start, "Asia/Jakarta") == "2026-11-20T14:00"


def test_the_hour_that_new_york_has_twice_has_its_full_length() -> None:
    night = chosen("?from=2026-11-01T00:00&to=2026-11-02T00:00", "America/New_York")
    assert night.end - night.start == 25 * 3_600_000
    spring = chosen("?from=2026-03-08T00:00&to=2026-03-09T00:00", "America/New_York")
    assert spring.end - spring.start == 23 * 3_600_000
    named = [words for _, words in ticks(spring, "en")]
    assert named[0] == "8 Mar"
    assert {"04:00", "08:00"} <= set(named)


@pytest.mark.parametrize("text", ["2026-11-20T14:00:00+07:00", "2026-11-20T14:00:00 07:00", "2026-11-20T07:00:00Z"])
def test_an_instant_is_read_with_its_offset_also_where_the_plus_became_a_space(text: str) -> None:
    choice = choice_from({"from": text, "to": "2026-11-21T00:00:00Z"}, BASE, NOW, "America/New_York")
    assert written(choice.start) == "2026-11-20T07:00:00Z"


@pytest.mark.parametrize(
    ("address", "faults"),
    [
        ("?range=2w", {"range": "unknown"}),
        ("?zone=mars", {"zone": "zone"}),
        ("?zone=mars&from=abc&to=2026-11-20T14:00", {"zone": "zone", "from": "wrong"}),
        ("?from=abc&to=2026-11-20T14:00", {"from": "wrong"}),
        ("?from=2026-11-20T14:00", {"to": "missing"}),
        ("?to=2026-13-20T14:00", {"to": "wrong", "from": "missing"}),
        ("?from=2026-11-20T14:00&to=2026-11-20T13:00", {"to": "before_from"}),
        ("?from=2026-11-20T14:00&to=2026-11-20T14:00:30", {"to": "too_near"}),
        ("?from=2024-11-20T14:00&to=2026-11-20T14:00", {"from": "too_far"}),
        ("?from=0001-01-01T00:00&to=9999-12-31T23:59", {"from": "wrong", "to": "wrong"}),
    ],
)
def test_what_is_wrong_is_named_and_a_day_is_shown_instead(address: str, faults: dict[str, str]) -> None:
    choice = chosen(address)
    assert choice.faults == faults
    assert (choice.key, choice.end, choice.naive) == (USUAL, NOW, False)
    assert chosen(choice.at("/parts")).faults == faults, "what is drawn again still names it"


@pytest.mark.parametrize("text", ["abc", "2026-11-20", "2026-11-20T14:00:00Z", "9999-12-31T23:59", '"><b>'])
def test_fields_for_times_get_nothing_that_is_no_time(text: str) -> None:
    asked = choice_from({"from": text, "to": "2026-11-20T14:00"}, BASE, NOW, "Asia/Jakarta").asked
    assert asked["to"] == "2026-11-20T14:00"
    assert asked["from"] == {"2026-11-20": "2026-11-20T00:00", "2026-11-20T14:00:00Z": "2026-11-20T21:00"}.get(text, "")


@pytest.mark.parametrize(
    "address", ["?range=24h", "?from=2026-11-20T06:00:00Z&to=2026-11-20T10:00:00Z&range=7d", "?from=x&to=y"]
)
def test_whose_clock_it_is_goes_along_wherever_the_page_leads(address: str) -> None:
    choice = chosen(f"{address}&zone=utc")
    ways = [choice.of("1h"), choice.earlier, choice.later, choice.wider, choice.around(NOW), choice.to_live]
    ways += [choice.here, choice.at("/parts"), choice.at("/file.csv")]
    assert {chosen(way).zone_key for way in ways if way is not None} == {"utc"}
    assert choice.members["zone"] == "utc"
    other = chosen(choice.by_clock_of("site"))
    assert (other.zone_key, other.members | {"zone": ""}) == ("site", choice.members | {"zone": ""})
    assert "zone" not in chosen(address).earlier


def test_earlier_and_later_lead_away_and_back_to_live() -> None:
    today = chosen("?range=24h")
    assert today.later is None
    before = chosen(today.earlier)
    assert (before.start, before.end) == ((NOW - 2 * DAY) // 1000 * 1000, (NOW - DAY) // 1000 * 1000)
    assert before.later == f"{BASE}?range=24h" == before.to_live
    assert chosen(before.here, now=NOW + 600_000).later == f"{BASE}?range=24h", "ten minutes of looking at it later"
    long_ago = chosen(before.earlier)
    assert long_ago.later is not None
    assert chosen(long_ago.later).end == before.end
    odd = chosen("?from=2026-11-22T00:00:00Z&to=2026-11-23T06:00:00Z&range=1h")
    assert odd.later is not None
    assert chosen(odd.later).end == NOW // 1000 * 1000, "as wide as before, up to now"


def test_zooming_out_goes_to_the_next_range_or_doubles() -> None:
    assert chosen("?range=24h").wider == f"{BASE}?range=7d"
    assert chosen("?range=90d").wider is None
    hours = chosen("?from=2026-11-20T06:00:00Z&to=2026-11-20T10:00:00Z&range=24h")
    assert hours.wider is not None
    wider = chosen(hours.wider)
    assert (written(wider.start), written(wider.end)) == ("2026-11-20T04:00:00Z", "2026-11-20T12:00:00Z")
    ends_now = chosen(f"?from=2026-11-23T05:00:00Z&to={written(NOW)}&range=1h")
    assert ends_now.wider is not None
    assert chosen(ends_now.wider).end <= NOW
    year = chosen("?from=2025-11-22T00:00:00Z&to=2026-11-23T00:00:00Z")
    assert year.wider is None


def test_what_is_live_is_read_again_with_each_bucket_within_bounds() -> None:
    waits = {key: (chosen(f"?range={key}").until or 0) - NOW for key in RANGES}
    assert waits == {
        "10m": 5000, "1h": 10_000, "6h": 60_000, "24h": 180_000, "7d": 900_000, "30d": 900_000, "90d": 900_000,
    }  # fmt: skip
    assert chosen("?from=2026-11-20T06:00:00Z&to=2026-11-20T10:00:00Z").until is None


def test_the_axis_is_labelled_in_the_language_at_full_hours_and_midnights() -> None:
    assert [words for _, words in ticks(chosen("?range=24h"), "id")] == [
        "16.00", "20.00", "23 Nov", "04.00", "08.00", "12.00",
    ]  # fmt: skip
    assert len(ticks(chosen("?range=90d"), "en")) == 6
    august = chosen("?from=2026-08-01T00:00:00Z&to=2026-08-29T00:00:00Z")
    assert all(words.endswith("Agu") for _, words in ticks(august, "id")[1:])


NIGHTS = [
    ("America/New_York", "2027-03-14T00:30", "2027-03-14T06:00", "1 3 4 5"),
    ("America/New_York", "2027-11-07T00:30", "2027-11-07T05:00", "1 1 2 3 4"),
    ("America/Santiago", "2026-09-05T22:00", "2026-09-06T04:00", "22 23 6Sep 2 3"),
    ("America/Santiago", "2026-04-04T22:00", "2026-04-05T02:30", "22 23 23 5Apr 1 2"),
    ("Asia/Kathmandu", "2026-11-22T22:00", "2026-11-23T03:00", "22 23 23Nov 1 2"),
]
"""Clocks are put forward or back: at two, at midnight, not at all and a quarter of an hour off."""


@pytest.mark.parametrize(("zone", "start", "end", "hours"), NIGHTS)
def test_the_axis_of_a_night_when_clocks_change_is_labelled_in_order_and_once(
    zone: str, start: str, end: str, hours: str
) -> None:
    found = ticks(chosen(f"?from={start}&to={end}", zone), "en")
    instants = [at for at, _ in found]
    assert instants == sorted(set(instants))
    assert {b - a for a, b in pairwise(instants)} == {3_600_000}
    assert [words if " " in words else f"{int(words[:2])}" for _, words in found] == [
        hour if hour.isdigit() else f"{hour[:-3]} {hour[-3:]}" for hour in hours.split()
    ]


def test_around_an_instant_is_as_wide_and_ends_behind_it() -> None:
    there = chosen(chosen("?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z").around(NOW - 9 * DAY))
    assert there.start < NOW - 9 * DAY < there.end
    assert there.end - there.start == DAY
