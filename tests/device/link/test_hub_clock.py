"""The hub's time, told from its welcome and a monotonic clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from device.link.rules import HubClock, parse_time

WALL = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)


def test_our_own_clock_counts_until_the_hub_has_spoken() -> None:
    clock = HubClock()
    assert clock.now(5.0, WALL) == WALL
    assert clock.offset(5.0, WALL) is None


def test_then_the_hubs_counts_whatever_ours_does() -> None:
    clock = HubClock()
    clock.synchronise("2026-11-24T09:00:00Z", 100.0)
    for jump in (timedelta(0), timedelta(hours=1), timedelta(days=-1)):
        assert clock.now(160.0, WALL + jump) == WALL + timedelta(days=1, minutes=1)
    assert clock.offset(100.0, WALL) == -86400


def test_a_time_nobody_can_read_changes_nothing() -> None:
    clock = HubClock()
    clock.synchronise("soon", 1.0)
    assert clock.now(2.0, WALL) == WALL
    assert parse_time("2026-11-23") is None
    assert parse_time("2026-11-23T09:00:00") == WALL, "a naive time is UTC"
