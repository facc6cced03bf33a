"""What a machine may add to the record: enough for one that was away, not enough to bury the others."""

from __future__ import annotations

from datetime import timedelta

from hub.model.budgets import EVENTS_AT_ONCE, EVENTS_PER_MINUTE, WINDOW_S, ReportedEvents, too_large
from tests.support.machines import NOW


def test_a_burst_is_recorded_and_then_so_many_a_minute() -> None:
    reported = ReportedEvents()
    taken = [reported.take(1, 0.0, NOW) for _ in range(EVENTS_AT_ONCE + 5)]
    assert taken == [True] * EVENTS_AT_ONCE + [False] * 5
    assert reported.take(2, 0.0, NOW), "another machine's budget is its own"
    later = [reported.take(1, 60.0, NOW) for _ in range(EVENTS_PER_MINUTE + 1)]
    assert later == [True] * EVENTS_PER_MINUTE + [False]


def test_what_was_not_recorded_becomes_one_line_a_minute() -> None:
    reported = ReportedEvents()
    for _ in range(EVENTS_AT_ONCE):
        reported.take(1, 0.0, NOW)
    for second in range(3):
        assert not reported.take(1, 0.0, NOW + timedelta(seconds=second))
    assert reported.due(WINDOW_S - 0.1, NOW) == []
    (line,) = reported.due(WINDOW_S, NOW + timedelta(seconds=60))
    assert (line.code, line.rvm_id, line.actor) == ("machine.events_dropped", 1, "machine:1")
    until = (NOW + timedelta(seconds=2)).isoformat()
    assert line.params == {"count": 3, "since": NOW.isoformat(), "until": until}
    assert reported.due(WINDOW_S, NOW) == []


def test_a_machine_that_has_calmed_down_is_dropped() -> None:
    reported = ReportedEvents()
    reported.take(1, 0.0, NOW)
    reported.due(0.5, NOW)
    assert len(reported) == 1
    reported.due(10.0, NOW)
    assert len(reported) == 0


def test_parameters_have_a_size() -> None:
    assert not too_large({"x": "y" * 2000})
    assert too_large({"x": "y" * 2048})
    assert too_large({"x": "ü" * 1100}), "bytes, not letters"
