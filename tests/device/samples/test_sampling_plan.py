"""Two rhythms with a clock in hand."""

from __future__ import annotations

from device.samples.rules import Due, SamplingPlan
from protocol.limits import LIVE_LEAST_S, LIVE_MOST_S


def test_the_first_kept_sample_comes_soon_and_then_each_interval() -> None:
    plan = SamplingPlan(300, now=0)
    assert plan.next_at() == 0.5
    assert plan.take(0.5) == Due(kept=True, live=False)
    assert plan.next_at() == 300.5


def test_live_samples_run_beside_the_kept_ones_until_nobody_watches() -> None:
    plan = SamplingPlan(300, now=0)
    plan.take(0.5)
    assert plan.watch(1.0, now=10)
    assert plan.next_at() == 10.5
    assert plan.take(10.5) == Due(kept=False, live=True)
    assert plan.next_at() == 11.5
    assert not plan.watch(5.0, now=12), "another interval is no new watch"
    plan.watch(0, now=13)
    assert plan.next_at() == 300.5
    assert plan.watch(1.0, now=14)


def test_the_same_request_again_does_not_disturb_the_rhythm() -> None:
    plan = SamplingPlan(300, now=0)
    plan.take(0.5)
    plan.watch(1.0, now=1)
    plan.take(1.5)
    plan.watch(1.0, now=2.4)
    assert plan.next_at() == 2.5


def test_missed_beats_are_skipped_not_made_up_for() -> None:
    plan = SamplingPlan(10, now=0)
    plan.take(0.5)
    assert plan.take(1000.0).kept
    assert plan.next_at() == 1010.0


def test_no_request_makes_the_computer_work_without_pause() -> None:
    plan = SamplingPlan(300, now=0)
    plan.take(0.5)
    assert plan.watch(1e-9, now=10)
    assert plan.live_interval == LIVE_LEAST_S
    plan.take(11)
    assert plan.next_at() - 11 >= LIVE_LEAST_S / 2
    plan.watch(86400, now=12)
    assert plan.live_interval == LIVE_MOST_S


def test_another_interval_counts_from_now_and_the_same_one_changes_nothing() -> None:
    plan = SamplingPlan(300, now=0)
    plan.take(0.5)
    plan.keep(300, now=10)
    assert plan.next_at() == 300.5
    plan.keep(5, now=10)
    assert plan.next_at() == 10.5
    assert plan.take(10.5).kept
    assert plan.next_at() == 15.5
    plan.keep(float("inf"), now=11)
    assert plan.next_at() == float("inf")
    plan.keep(0.1, now=20)
    assert plan.next_at() == 20.1
