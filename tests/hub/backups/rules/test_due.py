"""When a machine is asked for a backup: windows of its site, places in them, what was missed, how many at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.backups.rules.due import (
    BackupPlan,
    DueBackup,
    Past,
    begins_now,
    is_due,
    next_due,
    place_of,
    plan_of,
    why_not,
    windows,
)
from hub.model.backups import is_backed_up, is_late, late_at, late_of
from hub.model.effective_settings import DesiredSettings, effective_of
from protocol.configuration import defaults
from tests.support.database_rows import backup_row
from tests.support.machines import machine

UTC = timezone.utc
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
JAKARTA, NEW_YORK, LORD_HOWE = ZoneInfo("Asia/Jakarta"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
ENROLLED = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str, zone: ZoneInfo | timezone = UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def plan(window: str = "01:00-05:00", zone: Any = UTC, place: float = 0.0, interval: timedelta = DAY) -> BackupPlan:
    return BackupPlan(interval, window, zone, place)


def past(good: str | None = None, tried: str | None = None, zone: Any = UTC) -> Past:
    return Past(ENROLLED, None if good is None else at(good, zone), None if tried is None else at(tried, zone))


def test_a_machine_is_due_at_its_place_in_the_window_of_its_site() -> None:
    morning = at("2026-11-29 00:30", JAKARTA)
    assert next_due(plan(zone=JAKARTA), past(), morning) == at("2026-11-29 01:00", JAKARTA)
    assert next_due(plan(zone=JAKARTA, place=0.5), past(), morning) == at("2026-11-29 02:30", JAKARTA)
    assert at("2026-11-29 01:00", JAKARTA).hour == 18, "which is the evening before in UTC"


def test_what_a_clock_that_was_ahead_has_written_stops_nothing() -> None:
    """Set right again, the hub asks in the next window, and for a machine that was away as soon as it is back."""
    ahead, now = past("2027-11-29 01:10", "2027-11-30 01:10"), at("2026-11-29 12:00")
    assert next_due(plan(), ahead, now) == at("2026-11-30 01:00")
    assert is_due(plan(), ahead, now, at("2026-11-29 11:59"))
    jumped = past("2026-11-29 01:40")
    assert next_due(plan(), jumped, at("2026-11-29 01:20")) == at("2026-11-30 01:00"), "an hour is no wrong clock"


def test_after_one_that_was_made_the_next_night_is_next() -> None:
    made = past("2026-11-29 01:10")
    assert next_due(plan(), made, at("2026-11-29 01:20")) == at("2026-11-30 01:00")
    assert next_due(plan(interval=7 * DAY), made, at("2026-11-29 01:20")) == at("2026-12-06 01:00")


def test_one_that_had_to_wait_has_its_own_place_again_the_next_night() -> None:
    late = past("2026-11-29 04:50")
    assert next_due(plan(place=0.1), late, at("2026-11-29 12:00")) == at("2026-11-30 01:18")


@pytest.mark.parametrize(
    ("last", "then"),
    [
        ("2026-11-29 11:39", "2026-11-30 02:51"), ("2026-11-29 01:30", "2026-11-30 02:51"),
        ("2026-11-29 02:53", "2026-11-30 02:51"), ("2026-11-29 14:51", "2026-11-30 02:51"),
        ("2026-11-29 14:52", "2026-12-01 02:51"),
    ],
)  # fmt: skip
def test_the_next_one_is_in_the_night_that_is_nearest_to_an_interval_later(last: str, then: str) -> None:
    daily = plan(place=111 / 240 / 0.75)
    assert abs(next_due(daily, past(last), at(last) + timedelta(minutes=5)) - at(then)) < timedelta(seconds=1)
    weekly = daily._replace(interval=7 * DAY)
    assert abs(next_due(weekly, past(last), at(last) + timedelta(minutes=5)) - at(then) - 6 * DAY) < timedelta(
        seconds=1
    )


def test_shorter_intervals_stay_within_the_window() -> None:
    hourly, made = plan(interval=HOUR), past("2026-11-29 01:00")
    assert next_due(hourly, made, at("2026-11-29 01:01")) == at("2026-11-29 02:00")
    assert next_due(hourly, past("2026-11-29 04:30"), at("2026-11-29 04:31")) == at("2026-11-30 01:00")


def test_one_that_was_not_asked_in_its_place_is_due_until_the_window_ends_and_then_the_next_night() -> None:
    assert next_due(plan(place=0.1), past(), at("2026-11-29 04:59")) == at("2026-11-29 01:18")
    assert next_due(plan(place=0.1), past(), at("2026-11-29 05:00")) == at("2026-11-30 01:18")


def test_one_that_failed_is_tried_again_an_hour_later_in_the_same_window() -> None:
    failed = past("2026-11-28 01:00", tried="2026-11-29 01:00")
    assert next_due(plan(), failed, at("2026-11-29 01:05")) == at("2026-11-29 02:00")
    assert next_due(plan(), past(tried="2026-11-29 04:30"), at("2026-11-29 04:31")) == at("2026-11-30 01:00")


def test_a_window_may_go_over_midnight() -> None:
    over = plan("22:00-02:00", JAKARTA)
    assert next_due(over, past(), at("2026-11-30 01:30", JAKARTA)) == at("2026-11-29 22:00", JAKARTA)
    assert next_due(over, past(), at("2026-11-30 02:00", JAKARTA)) == at("2026-11-30 22:00", JAKARTA)


@pytest.mark.parametrize(
    ("window", "day", "begins", "ends"),
    [
        # The clock jumps from 02:00 to 03:00 on 8 March 2026, and from 02:00 back to 01:00 on 1 November 2026.
        ("01:00-05:00", "2026-03-08", "06:00", "09:00"),
        ("02:30-03:30", "2026-03-08", "07:00", "07:30"),
        ("02:15-02:45", "2026-03-08", "07:00", "07:30"),
        ("01:30-02:30", "2026-03-08", "06:30", "07:00"),
        ("01:00-05:00", "2026-11-01", "05:00", "10:00"),
        ("01:15-01:45", "2026-11-01", "05:15", "05:45"),
        ("01:30-02:00", "2026-11-01", "05:30", "07:00"),
    ],
)
def test_a_window_is_there_once_on_the_days_when_the_clock_jumps(window: str, day: str, begins: str, ends: str) -> None:
    found = [w for w in windows(plan(window, NEW_YORK), at(f"{day} 00:00"), at(f"{day} 23:59")) if w.begins >= at(day)]
    assert [(w.begins, w.ends) for w in found] == [(at(f"{day} {begins}"), at(f"{day} {ends}"))]


_ZONES = st.sampled_from([JAKARTA, NEW_YORK, LORD_HOWE, ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia"), UTC])
_MINUTES = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
_WINDOWS = st.builds(lambda begin, end: f"{begin}-{end}", _MINUTES, _MINUTES)
_NOW = st.integers(1_230_768_000, 2_145_830_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
_INTERVALS = st.integers(60, 31_536_000).map(lambda seconds: timedelta(seconds=seconds))
_PLANS = st.builds(BackupPlan, _INTERVALS, _WINDOWS, _ZONES, st.floats(0, 1, exclude_max=True))


@given(some=_PLANS, since=_NOW)
def test_windows_come_one_a_day_in_their_order_and_none_is_empty(some: BackupPlan, since: datetime) -> None:
    found = list(islice(windows(some, since), 10))
    assert all(window.begins < window.ends for window in found)
    assert all(one.begins < two.begins for one, two in pairwise(found))
    assert found[0].begins <= since


@given(some=_PLANS, now=_NOW, good=st.none() | st.integers(0, 400 * 86400), tried=st.none() | st.integers(0, 86400))
def test_the_next_one_is_in_a_window_that_has_not_ended_and_not_before_its_time(
    some: BackupPlan, now: datetime, good: int | None, tried: int | None
) -> None:
    good_at = None if good is None else now - timedelta(seconds=good)
    tried_at = None if tried is None else now - timedelta(seconds=tried)
    behind = Past(now - 500 * DAY, good_at, tried_at)
    begins = next_due(some, behind, now)
    window = next(w for w in windows(some, begins) if w.begins <= begins < w.ends)
    assert window.ends > now
    assert good_at is None or begins >= good_at + some.interval / 2
    assert begins <= max(now, now + some.interval) + 3 * DAY
    assert next_due(some, behind, begins if begins > now else now) == begins, "and it stays so until it is asked"


def test_a_machine_that_was_away_in_its_window_is_asked_when_it_is_back_if_its_backup_is_old() -> None:
    noon, back = at("2026-11-29 12:00"), at("2026-11-29 09:00")
    old, young = past("2026-11-26 01:00"), past("2026-11-28 01:00")
    assert is_due(plan(), old, noon, back)
    assert is_due(plan(), past(), noon, back), "or never was one"
    assert not is_due(plan(), young, noon, back), "a young one waits for the night"
    assert not is_due(plan(), old, noon, at("2026-11-29 00:50")), "one that was there all night waits, too"
    assert not is_due(plan(), old, noon, None)
    assert not is_due(plan(), past("2026-11-26 01:00", tried="2026-11-29 09:01"), noon, back), "once a link"
    assert is_due(plan(), past("2026-11-26 01:00", tried="2026-11-29 08:00"), noon, back)
    assert is_due(plan(), young, at("2026-11-29 01:00"), None), "in its window it is just due"


def test_places_of_a_fleet_are_spread_evenly_and_never_move() -> None:
    places = [place_of(number) for number in range(1, 201)]
    assert places == [place_of(number) for number in range(1, 201)]
    tenths = [sum(part / 10 <= place < (part + 1) / 10 for place in places) for part in range(10)]
    assert all(17 <= count <= 23 for count in tenths), tenths


def settings(**values: Any) -> Any:
    return effective_of(defaults(), DesiredSettings(values, 1))


def ready(**members: Any) -> Any:
    observed = {"linked": True, "capabilities": ("start_backup",), **members}
    return machine(7, **observed)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({}, None), ({"linked": False}, "offline"), ({"capabilities": ("ping",)}, "unsupported"),
        ({"capabilities": (), "linked": False}, "never"),
        ({"simulated": True}, "simulated"), ({"quarantined_until": ENROLLED}, "quarantined"),
        ({"effective_settings": settings(backup_enabled=False)}, "off"),
    ],
)  # fmt: skip
def test_who_is_not_asked_and_why(members: Mapping[str, Any], why: str | None) -> None:
    assert why_not(ready(**members)) == why
    assert is_backed_up(ready(**members)) == (why in (None, "offline", "quarantined"))


def test_a_plan_is_made_of_what_is_effective_on_the_machine() -> None:
    found = plan_of(
        ready(timezone="Asia/Makassar", effective_settings=settings(backup_window="22:00-02:00", backup_interval=7200)),
        "UTC",
    )
    assert found == BackupPlan(2 * HOUR, "22:00-02:00", ZoneInfo("Asia/Makassar"), place_of(7))
    assert plan_of(ready(timezone=None), "UTC").zone == ZoneInfo("Asia/Jakarta"), "the machine's default"
    assert plan_of(ready(timezone="Etc/UTC"), "UTC").zone == ZoneInfo("Asia/Jakarta"), "no machine stands in UTC"
    pinned = settings(pinned_timezone="Asia/Jayapura")
    elsewhere = ready(timezone="America/New_York", effective_settings=pinned)
    assert plan_of(elsewhere, "UTC").zone == ZoneInfo("Asia/Jayapura"), "the site's night, not the computer's"
    assert plan_of(ready(timezone="Mars/Olympus"), "Asia/Tokyo").zone == ZoneInfo("Asia/Tokyo")
    assert plan_of(ready(timezone="Mars/Olympus"), "Mars").zone is UTC


def test_no_good_backup_is_an_alarm_after_two_intervals_and_a_day() -> None:
    assert late_at(settings(), ENROLLED) == ENROLLED + 3 * DAY
    assert late_at(settings(backup_interval=3600), ENROLLED) == ENROLLED + DAY + 2 * HOUR
    assert late_at(settings(backup_enabled=False), ENROLLED) is None
    never, off = (
        ready(created_at=ENROLLED),
        ready(created_at=ENROLLED, effective_settings=settings(backup_enabled=False)),
    )
    assert not is_late(never, ENROLLED + 3 * DAY - HOUR)
    assert is_late(never, ENROLLED + 3 * DAY)
    assert not is_late(off, ENROLLED + 99 * DAY)
    good = backup_row(7, 1, upload_status="completed", created_at=ENROLLED, completed_at=ENROLLED + HOUR)
    once = ready(created_at=ENROLLED - 99 * DAY, backups={1: good})
    assert late_of(once) == ENROLLED + HOUR + 3 * DAY
    assert not is_late(once, ENROLLED + 3 * DAY)


def test_the_oldest_begin_first_never_two_of_a_machine_and_never_more_than_may() -> None:
    due = [DueBackup(number, ENROLLED + number * HOUR) for number in (5, 3, 4, 1, 2)]
    assert begins_now(due, [], 2) == [1, 2]
    assert begins_now(due, [1, 9], 4) == [2, 3]
    assert begins_now(due, [7, 8, 9], 2) == []
    assert begins_now([DueBackup(2, ENROLLED), DueBackup(1, ENROLLED)], [], 9) == [1, 2]
    assert begins_now([DueBackup(1, ENROLLED), DueBackup(2, None)], [], 1) == [2]
