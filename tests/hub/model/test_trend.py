"""Four hours of readings in five-minute steps."""

from __future__ import annotations

from hub.model.trend import STEP_MS, STEPS, Trend
from protocol.messages import Sample

NOW = 1_795_413_731_000
AT = NOW // STEP_MS * STEP_MS


def sample(cpu: float | None = None, temperature: float | None = None) -> Sample:
    return Sample(timestamp=0.0, cpu_usage=cpu, temperature=temperature)


def test_a_step_keeps_its_lowest_highest_and_newest() -> None:
    trend = Trend()
    for value in (20.0, None, 60.0, 40.0):
        trend.add(NOW, sample(value, 50.0))
    assert trend.points("cpu_usage", NOW) == [(AT, 20.0, 60.0, 40.0)]
    assert trend.points("temperature", NOW) == [(AT, 50.0, 50.0, 50.0)]
    assert trend.points("gpu_usage", NOW) == []


def test_what_is_older_than_its_hours_is_let_go() -> None:
    trend = Trend()
    for step in range(3 * STEPS):
        trend.add(NOW + step * STEP_MS, sample(float(step)))
    last = NOW + (3 * STEPS - 1) * STEP_MS
    assert [point.newest for point in trend.points("cpu_usage", last)] == [
        float(n) for n in range(2 * STEPS, 3 * STEPS)
    ]
    assert [point.newest for point in trend.points("cpu_usage", last + 40 * STEP_MS)] == [
        float(n) for n in range(3 * STEPS - 8, 3 * STEPS)
    ]
    assert trend.points("cpu_usage", last + 100 * STEP_MS) == []
    trend.add(last + 20 * STEP_MS, sample(5.0))
    assert [point.at for point in trend.points("cpu_usage", last + 20 * STEP_MS)][-2:] == [
        AT + (3 * STEPS - 1) * STEP_MS,
        AT + (3 * STEPS + 19) * STEP_MS,
    ]


def test_after_a_gap_the_database_is_asked_again() -> None:
    trend = Trend()
    trend.add(NOW, sample(1.0))
    trend.complete = True
    trend.add(NOW + STEP_MS, sample(2.0))
    assert trend.complete
    trend.add(NOW + 3 * STEP_MS, sample(3.0))
    assert not trend.complete
    trend.fill(NOW + 2 * STEP_MS, {"cpu_usage": (2.0, 2.5, 3.0)})
    assert [p.newest for p in trend.points("cpu_usage", NOW + 3 * STEP_MS)] == [1.0, 2.0, 2.5, 3.0]


def test_a_clock_that_is_set_back_takes_what_it_dated_later() -> None:
    trend = Trend()
    for step in range(5):
        trend.add(NOW + step * STEP_MS, sample(float(step)))
    trend.add(NOW + STEP_MS, sample(9.0))
    assert [(p.low, p.newest) for p in trend.points("cpu_usage", NOW + 4 * STEP_MS)] == [(0.0, 0.0), (1.0, 9.0)]


def test_the_past_fills_only_what_is_empty() -> None:
    trend = Trend()
    trend.add(NOW, sample(30.0))
    spreads = {"cpu_usage": (1.0, 2.0, 3.0)}
    for steps in (0, 1, STEPS - 1, STEPS, -1):
        trend.fill(NOW - steps * STEP_MS, spreads)
    assert [(p.at, p.low, p.high, p.newest) for p in trend.points("cpu_usage", NOW)] == [
        (AT - (STEPS - 1) * STEP_MS, 1.0, 3.0, 2.0),
        (AT - STEP_MS, 1.0, 3.0, 2.0),
        (AT, 30.0, 30.0, 30.0),
    ]


def test_the_past_of_a_machine_without_a_report_comes_newest_first() -> None:
    trend = Trend()
    for steps in (2, 3, 1):
        trend.fill(NOW - steps * STEP_MS, {"gpu_usage": (1.0, float(steps), 9.0)})
    assert [p.newest for p in trend.points("gpu_usage", NOW)] == [3.0, 2.0]
