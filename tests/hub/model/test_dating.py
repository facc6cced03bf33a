"""Machine timestamps as instants: every spelling, and every clock that cannot be right."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.dating import AHEAD, OLDEST, UndatableError, by_hub, date, find_zone, settle
from tests.support.machines import NOW

EIGHT = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-11-23T08:00:00Z", "2026-11-23T08:00:00.000Z", "2026-11-23T08:00:00+00:00", "2026-11-23T15:00:00+07:00",
        "2026-11-23T15:00:00", "2026-11-23 15:00:00", "2026-11-23T08:00:00.0Z", "2026-11-23T08:00:00.000000000Z",
        1795420800, 1795420800.0, 1795420800000.0,
    ],
)  # fmt: skip
def test_every_spelling_of_one_instant_is_that_instant(stamp: str | float) -> None:
    assert date(stamp, NOW, "Asia/Jakarta", "UTC") == (EIGHT, False)


def test_a_naive_text_is_read_in_the_machines_zone_and_else_in_the_default_zone() -> None:
    assert date("2026-11-23T16:00:00", NOW, "Asia/Makassar", "Asia/Jakarta").at == EIGHT
    assert date("2026-11-23T15:00:00", NOW, None, "Asia/Jakarta").at == EIGHT
    assert date("2026-11-23T15:00:00", NOW, "Nowhere/Land", "Asia/Jakarta").at == EIGHT
    assert date("2026-11-23T08:00:00", NOW, None, "Nowhere/Land").at == EIGHT


def test_ahead_of_the_hub_is_clamped_only_beyond_ten_minutes() -> None:
    assert date((NOW + AHEAD).isoformat(), NOW, None, "UTC") == (NOW + AHEAD, False)
    assert date((NOW + AHEAD + timedelta(seconds=1)).isoformat(), NOW, None, "UTC") == (NOW, True)


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:12Z", 12.5, "1970-01-01T00:00:12", 0])
def test_a_clock_that_was_never_set_takes_the_hubs_time(stamp: str | float) -> None:
    assert date(stamp, NOW, "Asia/Jakarta", "UTC") == (NOW, True)


@pytest.mark.parametrize(
    "stamp",
    ["unreadable", "", "0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
     "1999-12-31T23:59:59Z",
     "2026-13-01T00:00:00Z", -1e30, 1e30, float("nan"), float("inf"), -5e9, "<script>"],
)  # fmt: skip
def test_text_that_names_no_instant_is_refused(stamp: str | float) -> None:
    with pytest.raises(UndatableError):
        date(stamp, NOW, "Asia/Jakarta", "UTC")


@given(
    st.one_of(
        st.text(max_size=40), st.floats(), st.datetimes().map(str), st.datetimes(timezones=st.timezones()).map(str)
    )
)
def test_any_stamp_is_an_instant_of_our_time_or_refused(stamp: str | float) -> None:
    try:
        at, _ = date(stamp, NOW, "Asia/Jakarta", "UTC")
    except UndatableError:
        return
    assert OLDEST <= at <= NOW + AHEAD
    assert at.tzinfo is not None


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/localtime", "Asia/Jakarta\n", "", "x" * 300, "Asia"])
def test_a_name_that_is_no_zone_is_none(name: str) -> None:
    assert find_zone(name) is None


def test_a_clock_that_never_was_set_is_clamped_and_one_of_the_last_century_is_refused() -> None:
    assert date("1970-01-01T00:00:30Z", NOW, None, "UTC") == (NOW, True)
    with pytest.raises(UndatableError):
        date("1999-12-31T23:59:59Z", NOW, None, "UTC")


@pytest.mark.parametrize(
    "stamp", ["2026-11-23T08:00:00.1z", "2026-11-23T08:00:00.1000000009Z", "2026-11-23T08:00:00,1Z"]
)
def test_a_fraction_of_any_length_is_read(stamp: str) -> None:
    assert date(stamp, NOW, None, "UTC").at == datetime(2026, 11, 23, 8, 0, 0, 100000, timezone.utc)


def test_an_instant_in_our_past_is_what_it_says() -> None:
    assert settle(NOW - timedelta(days=1), NOW) == (NOW - timedelta(days=1), False)


@pytest.mark.parametrize(
    ("stamp_s", "offset", "found_s"),
    [(-7200, -7200.0, 0), (-9000, -7200.0, -1800), (-60, -7200.0, 0), (-30, -30.0, -30), (300, 300.0, 300),
     (-5, None, -5)],
)  # fmt: skip
def test_a_clock_that_is_behind_is_put_right(stamp_s: float, offset: float | None, found_s: float) -> None:
    assert by_hub(NOW + timedelta(seconds=stamp_s), NOW, offset) == NOW + timedelta(seconds=found_s)
