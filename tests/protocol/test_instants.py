"""Every spelling of an instant that RFC 3339 allows and machines write, and what names none."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.instants import parse

EIGHT = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc)
MIDNIGHT = datetime(2027, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T08:00:00Z", "2026-11-23t08:00:00z", "2026-11-23T08:00:00z", "2026-11-23t08:00:00.000Z",
        "2026-11-23 08:00:00Z", "2026-11-23T08:00Z", "2026-11-23T15:00:00+07:00", "2026-11-23T15:00:00+0700",
        "2026-11-23T15:00:00+07", "2026-11-23T08:00:00-00:00", "2026-11-23T08:00:00.0000000001Z",
        "2026-11-23T08:00:00,000Z",
    ],
)  # fmt: skip
def test_every_spelling_of_one_instant_is_that_instant(text: str) -> None:
    assert parse(text) == EIGHT


def test_without_an_offset_it_is_naive() -> None:
    assert parse("2026-11-23T08:00:00") == EIGHT.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-31T23:59:60Z", MIDNIGHT), ("2026-12-31t23:59:60z", MIDNIGHT),
        ("2027-01-01T06:59:60+07:00", MIDNIGHT), ("2027-01-01T05:44:60+05:45", MIDNIGHT),
        ("2026-12-31T23:59:60.25Z", MIDNIGHT + timedelta(seconds=0.25)),
        ("2026-12-31T23:59:60", MIDNIGHT.replace(tzinfo=None)),
    ],
)  # fmt: skip
def test_a_leap_second_is_the_first_moment_of_the_next_day(text: str, expected: datetime) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23", "2026-W48-1", "2026-W48-1T08:00:00Z", "2026-327", "20261123T080000Z", "2026-11-23T08",
        "08:00:00Z",
        "2026-11-23T080000Z", "2026-11-23T08:00:60Z", "2026-11-23T08:59:60Z", "2026-12-31T23:58:60",
        "2026-11-23T08:00:61Z", "2026-11-23T24:00:00Z", "2026-02-29T00:00:00Z", "2026-11-23T08:00:00+25:00",
        "2026-11-23T08:00:00Z ", "2026-11-23X08:00:00Z", "\u0662026-11-23T08:00:00Z", "9999-12-31T23:59:60Z", "",
    ],
)  # fmt: skip
def test_what_names_no_instant_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse(text)


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_what_python_writes_is_read_back(at: datetime) -> None:
    written = at.isoformat()
    assert parse(written) == parse(written.lower()) == parse(written.replace("+00:00", "z")) == at
