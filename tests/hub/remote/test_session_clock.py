"""A session ends by seconds that passed, whatever the time of day says."""

from __future__ import annotations

from datetime import timedelta

from db.records import RemoteSessionRow
from hub.model.changes import move, moved_rows
from hub.remote.rules.life import ends_at
from hub.remote.service import BEGIN_S, SessionClock
from tests.hub.remote.rules.test_remote_life import session
from tests.support.machines import NOW


def test_setting_the_clock_moves_no_end_and_extending_does() -> None:
    wall, passed = [NOW], [100.0]
    clock = SessionClock(lambda: wall[0], lambda: passed[0])
    one = session()
    clock.on_commit([move(one)])
    wall[0] = NOW + timedelta(days=400)
    assert not clock.over(one)
    passed[0] += 1800
    assert clock.over(one)
    wall[0] = ends_at(one)
    longer = move(one, expires_at=ends_at(one) + timedelta(minutes=5))
    clock.on_commit([longer])
    (after,) = moved_rows([longer], RemoteSessionRow)
    assert not clock.over(after)


def test_a_session_without_its_command_waits_a_moment_for_it() -> None:
    passed = [100.0]
    clock = SessionClock(lambda: NOW, lambda: passed[0])
    one = session("starting", command_id=None)
    assert not clock.settled(one)
    passed[0] += BEGIN_S + 1
    assert clock.settled(one)
    assert clock.settled(session("starting"))


def test_a_session_that_went_with_its_machine_is_dropped() -> None:
    clock = SessionClock(lambda: NOW, lambda: 100.0)
    one = session("active")
    assert not clock.over(one)
    clock.keep_only({one.id})
    assert clock._ends
    clock.keep_only(set())
    assert not clock._ends
    assert not clock._opened
