"""What a machine's key may make the hub do and keep."""

from __future__ import annotations

import pytest

from hub.model.budgets import (
    BOOTS_AT_ONCE,
    BOOTS_PER_MINUTE,
    DAY_S,
    LINES_AT_ONCE,
    LINES_PER_MINUTE,
    MIB,
    REFUSALS_AT_ONCE,
    REFUSALS_PER_S,
    REFUSED_WITHIN_S,
    Cost,
    MachineBudget,
    line,
)
from protocol.limits import SAMPLES_AT_ONCE, SAMPLES_PER_S
from tests.support.machines import NOW

LINE = Cost(lines=1)


def test_a_burst_and_then_so_much_a_minute() -> None:
    budget = MachineBudget()
    assert [budget.take(1, 100.0, LINE) for _ in range(LINES_AT_ONCE)] == [0.0] * LINES_AT_ONCE
    wait = budget.take(1, 100.0, LINE)
    assert wait == pytest.approx(60 / LINES_PER_MINUTE)
    assert budget.take(1, 100.0, LINE) == wait, "who is told to wait has taken nothing"
    assert budget.take(2, 100.0, LINE) == 0.0, "each machine has its own"
    assert budget.take(1, 100.0 + wait, LINE) == 0.0
    assert sum(not budget.take(1, 200.0 + second / 10, LINE) for second in range(600)) <= 100 + LINES_PER_MINUTE


def test_what_is_short_of_one_thing_takes_nothing_of_the_others() -> None:
    budget = MachineBudget()
    assert budget.take(1, 0.0, Cost(boots=BOOTS_AT_ONCE)) == 0.0
    for _ in range(2 * LINES_AT_ONCE):
        assert budget.take(1, 0.0, Cost(lines=1, boots=1)) > 0
    assert budget.take(1, 0.0, Cost(lines=LINES_AT_ONCE)) == 0.0


def test_a_request_larger_than_the_burst_is_taken_once_and_owed_for() -> None:
    """500 boots in one request: it is taken, and the next new boot waits for all of them."""
    budget = MachineBudget()
    assert budget.take(1, 0.0, Cost(boots=500)) == 0.0
    owed = (500 - BOOTS_AT_ONCE + 1) * 60 / BOOTS_PER_MINUTE
    assert budget.take(1, 0.0, Cost(boots=1)) == pytest.approx(owed)
    assert budget.take(1, owed, Cost(boots=1)) == 0.0


def test_what_has_happened_is_waited_for() -> None:
    budget = MachineBudget()
    assert budget.spend(1, 0.0, Cost(frames=1, samples=SAMPLES_AT_ONCE)) == 0.0
    assert budget.spend(1, 0.0, Cost(frames=1, samples=300)) == 300 / SAMPLES_PER_S
    assert budget.take(1, 0.0, Cost(samples=1)) > 300 / SAMPLES_PER_S, "by REST the same budget"


def test_a_debt_is_that_of_what_a_link_says() -> None:
    budget = MachineBudget(mib_per_day=1)
    assert budget.debt(1, 0.0) == 0.0
    budget.take(1, 0.0, Cost(boots=500, lines=LINES_AT_ONCE))
    budget.refused(1, 0.0)
    assert budget.debt(1, 0.0) == 0.0, "that is refused where it is asked for"
    budget.spend(1, 0.0, Cost(samples=SAMPLES_AT_ONCE + 300))
    assert budget.debt(1, 0.0) == 300 / SAMPLES_PER_S
    assert budget.debt(1, 1.0) == pytest.approx(300 / SAMPLES_PER_S - 1)
    budget.spend(1, 0.0, Cost(stored_bytes=1.5 * MIB))
    assert budget.debt(1, 0.0) == pytest.approx(DAY_S / 2)
    assert budget.debt(2, 0.0) == 0.0


def test_without_a_limit_of_frames_there_is_none_of_speed_but_of_what_is_kept() -> None:
    budget = MachineBudget(frames_per_second=0)
    assert budget.spend(1, 0.0, Cost(frames=1e6, samples=1e6, links=1e6)) == 0.0
    assert budget.spend(1, 0.0, Cost(lines=LINES_AT_ONCE + 1)) > 0
    assert budget.spend(1, 0.0, Cost(boots=BOOTS_AT_ONCE + 1)) > 0


def test_the_share_of_the_disk_is_so_many_bytes_a_day_and_one_line_reports_that_it_is_used_up() -> None:
    budget = MachineBudget(mib_per_day=2)
    kept, at = 0, 0.0
    told = []
    while at < 7 * DAY_S:
        cost = line(50_000, lines=0)
        if budget.take(1, at, cost):
            at += 60
        else:
            kept += int(cost.stored_bytes)
        told += budget.due(at, NOW)
    assert 7.9 * 2 * MIB <= kept <= 8 * 2 * MIB, "a burst of one day's, and seven days"
    assert [(one.code, one.rvm_id, one.params) for one in told] == [("machine.share_used_up", 1, {"mib_per_day": 2})]
    assert budget.due(at + DAY_S, NOW) == []
    assert budget.take(1, at + DAY_S, Cost(stored_bytes=2 * MIB)) == 0.0
    assert budget.take(1, at + DAY_S, Cost(stored_bytes=1)) > 0
    assert len(budget.due(at + DAY_S, NOW)) == 1, "half of it was there meanwhile"


def test_machines_that_have_everything_left_are_dropped() -> None:
    budget = MachineBudget()
    for rvm_id in range(1000):
        assert budget.take(rvm_id, 10.0 * rvm_id, LINE) == 0.0
    assert max(len(buckets) for buckets in budget._buckets) == 1


def test_a_flood_of_refusals_is_answered_ever_later_and_one_now_and_then_at_once() -> None:
    budget = MachineBudget()
    assert [budget.refused(1, float(second)) for second in range(100)] == [0.0] * 100
    waits = [budget.refused(1, 100.0) for _ in range(1000)]
    assert waits[: REFUSALS_AT_ONCE + 1] == [0.0] * REFUSALS_AT_ONCE + [1 / REFUSALS_PER_S]
    assert waits[40] - waits[39] == pytest.approx(1 / REFUSALS_PER_S), "also when they come at once"
    assert waits[-1] == REFUSED_WITHIN_S


def test_a_boot_is_paid_once_however_often_its_link_ends_before_it_is_stored() -> None:
    budget = MachineBudget()
    assert budget.of_boot(1, "a", {}) == Cost(boots=1)
    budget.paid_boot(1, "a")
    assert budget.of_boot(1, "a", {}) == Cost()
    assert budget.of_boot(2, "a", {}) == Cost(boots=1)
    assert budget.of_boot(1, "b", {}) == Cost(boots=1)
    assert budget.of_boot(1, "b", {"b": None}) == Cost()
