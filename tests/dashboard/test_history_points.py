"""What a History page computes of readings: gaps with their reason, capacity by time, summaries, rows."""

from __future__ import annotations

from dashboard import history_points as h
from dashboard.history_points import Away, ConnectionMove, Declared, Gap, Mark, Point

MIN = 60_000
LIVE = ("live", 0)


def points(*values: tuple[int, float]) -> list[Point]:
    return [Point(minute * MIN, value, value - 1, value + 2, 1) for minute, value in values]


def test_away_is_from_when_it_was_gone_until_it_came_back_with_its_reason() -> None:
    moves = [
        ConnectionMove(10 * MIN, "offline", "live", 9 * MIN, "reboot"),
        ConnectionMove(12 * MIN, "live", "offline", None, None),
        ConnectionMove(40 * MIN, "offline", "live", 39 * MIN, "closed"),
    ]
    assert h.away_spans(moves, 0, 60 * MIN, 0, ("offline", 39 * MIN)) == [
        Away(9 * MIN, 12 * MIN, "reboot"),
        Away(39 * MIN, 60 * MIN, "offline"),
    ]
    assert h.away_spans(moves[:2], 11 * MIN, 60 * MIN, 0, LIVE) == [Away(11 * MIN, 12 * MIN, "reboot")]


def test_before_its_first_connection_it_was_never_there() -> None:
    first = [ConnectionMove(30 * MIN, "live", "never", None, None)]
    assert h.away_spans(first, 0, 60 * MIN, 20 * MIN, LIVE) == [Away(20 * MIN, 30 * MIN, "never")]
    assert h.away_spans([], 0, 60 * MIN, 20 * MIN, ("never", None)) == [Away(20 * MIN, 60 * MIN, "never")]
    assert h.away_spans([], 0, 60 * MIN, 0, LIVE) == []


def test_a_gap_is_what_is_longer_than_samples_are_apart() -> None:
    times = [minute * MIN for minute in (0, 5, 10, 40, 45)]
    step = h.step_of(times, MIN, 5 * MIN)
    assert step == 5 * MIN
    found = h.gaps(times, 0, 50 * MIN, MIN, step, [Away(11 * MIN, 39 * MIN, "offline")], 0)
    assert found == [Gap(11 * MIN, 40 * MIN, "offline")]
    assert h.gaps(times, 0, 120 * MIN, MIN, step, [], 0)[-1] == Gap(46 * MIN, 120 * MIN, ""), "grows up to the end"


def test_wide_buckets_side_by_side_have_no_gap_whatever_happened_inside() -> None:
    times = [hour * 60 * MIN for hour in range(6)]
    away = [Away(70 * MIN, 75 * MIN, "offline")]
    assert h.gaps(times, 0, 360 * MIN, 60 * MIN, 60 * MIN, away, 0) == []


def test_a_short_absence_breaks_a_fine_line() -> None:
    times = [0, 5 * MIN]
    away = [Away(2 * MIN, 3 * MIN, "reboot")]
    assert h.gaps(times, 0, 6 * MIN, MIN // 6, 5 * MIN, away, 0)[0].code == "reboot"
    assert h.gaps(times, 0, 6 * MIN, MIN // 6, 5 * MIN, [], 0) == []


def test_where_samples_came_seldom_by_other_settings_nothing_is_missing() -> None:
    times = [minute * MIN for minute in range(0, 120, 15)]
    step = h.step_of(times, MIN, 5 * MIN)
    assert h.gaps(times, 0, 120 * MIN, MIN, step, [], 0) == []


def test_time_before_the_machine_was_added_is_named_so() -> None:
    assert h.gaps([90 * MIN], 0, 91 * MIN, MIN, 5 * MIN, [], 88 * MIN) == [Gap(0, 90 * MIN, "before")]


def test_a_reading_that_alone_is_missing_was_not_measured() -> None:
    every = [minute * MIN for minute in range(0, 60, 5)]
    own = [Gap(20 * MIN, 40 * MIN, ""), Gap(58 * MIN, 60 * MIN, "")]
    assert [gap.code for gap in h.unmeasured(own, every)] == ["unmeasured", ""]


def test_capacity_is_the_mean_by_time_and_nothing_while_away() -> None:
    declared = [Declared(0, "active", 10), Declared(15 * MIN, "active", 30), Declared(20 * MIN, "full", 100)]
    found = h.capacity_points(declared, [Away(30 * MIN, 50 * MIN, "offline")], 0, 55 * MIN, 20 * MIN)
    assert [(point.at // MIN, point.mean, point.low, point.high) for point in found] == [
        (0, 15.0, 10, 30), (20, 100.0, 100, 100), (40, 100.0, 100, 100),
    ]  # fmt: skip


def test_a_summary_has_the_exact_newest_and_the_mean_of_all_values() -> None:
    known = [Point(0, 10, 5, 40, 3), Point(MIN, 30, 30, 30, 1)]
    assert h.summary(known, (90_000, 31.0), None, 0) == h.MetricSummary(31.0, 90_000, 15.0, 40, 0)
    assert h.summary(known, None, 12_345, 0) == h.MetricSummary(30, MIN, 15.0, 40, 12_345)
    assert h.summary([], None, None, 0) is None


def test_rows_of_a_table_weigh_what_they_put_together() -> None:
    known = [Point(0, 10, 5, 20, 3), Point(MIN, 30, 30, 30, 1), Point(10 * MIN, 7, 7, 7, 1)]
    assert h.rows(known, 0, 10 * MIN) == [Point(10 * MIN, 7, 7, 7, 1), Point(0, 15, 5, 30, 4)]


def test_no_line_crosses_a_gap_and_a_band_is_there_only_with_a_spread() -> None:
    known = {"cpu_usage": points((0, 10), (1, 20), (8, 30)), "disk_usage": [Point(0, 4, 4, 4, 1)]}
    drawn = h.columns(("cpu_usage",), known, [Gap(2 * MIN, 8 * MIN, "")], 0, MIN)
    assert drawn["at"] == [0, 1, 2, 8]
    assert drawn["cpu_usage"] == [10, 20, None, 30]
    assert drawn["cpu_usage.high"] == [12, 22, None, 32]
    assert "disk_usage.low" not in h.columns(("disk_usage",), known, [], 0, MIN)


def test_changes_of_capacity_alone_are_one_span_of_status() -> None:
    declared = [Declared(0, "active", 1), Declared(5, "active", 2), Declared(9, "full", 99)]
    spans = h.statuses(declared, 2, 20, 0)
    assert spans == [(2, 9, "active"), (9, 20, "full")]
    assert h.marks(spans, [4]) == [Mark(9, "full"), Mark(4, "restart")]
    assert h.statuses(declared, 2, 20, 7)[0] == (7, 9, "active"), "nothing before it was added"


def test_a_new_version_of_the_agent_is_no_reboot() -> None:
    assert h.restarts([(1, "a"), (5, "a"), (9, "b")], 3) == [9]
    assert h.restarts([(1, "a"), (9, "b")], 10) == []
    assert h.restarts([(9, "b")], 0) == [], "of the first boot nobody knows whether it was one"


def test_an_axis_fits_values_and_limits_at_fives() -> None:
    assert h.fitted({"temperature": points((0, 47.2))}, ("temperature",), [80, 90]) == (45, 95)
    assert h.fitted({}, ("temperature",), [80, 90]) is None
