"""How kept samples travel on one link, step by step with a clock in hand."""

from __future__ import annotations

import pytest

from device.link.duties import FRAME_SAMPLES
from device.samples.rules import RESEND_AFTER_S, WINDOW_FRAMES, Replay, pause_after
from hub.model.budgets import MIB, ROW_BYTES, Cost, MachineBudget
from protocol.limits import REPLAY_SAMPLES_PER_S, SAMPLES_AT_ONCE


def test_a_few_frames_at_once_and_no_more_until_one_is_acknowledged() -> None:
    replay = Replay(acked=10)
    for n in range(WINDOW_FRAMES):
        assert replay.may_send(0.0)
        replay.was_sent(20 + n, 0.0)
    assert not replay.may_send(0.0)
    replay.was_acked(20, 1.0)
    assert replay.may_send(1.0)
    assert (replay.acked, replay.sent) == (20, 23)


def test_a_cumulative_acknowledgement_frees_everything_below_it() -> None:
    replay = Replay(0)
    for n in range(WINDOW_FRAMES):
        replay.was_sent(n + 1, 0.0)
    replay.was_acked(WINDOW_FRAMES, 0.0)
    assert replay.resend_in(0.0) == float("inf")


def test_what_nobody_acknowledges_is_sent_again_ever_more_rarely() -> None:
    replay = Replay(5)
    replay.was_sent(9, 0.0)
    assert replay.resend_in(10.0) == RESEND_AFTER_S - 10
    assert replay.may_send(RESEND_AFTER_S)
    assert replay.sent == 5, "from the acknowledged position"
    replay.was_sent(9, RESEND_AFTER_S)
    assert replay.resend_in(RESEND_AFTER_S) == 2 * RESEND_AFTER_S


def test_an_old_acknowledgement_changes_nothing() -> None:
    replay = Replay(5)
    replay.was_sent(9, 0.0)
    replay.was_acked(4, 1.0)
    assert (replay.acked, replay.sent) == (5, 9)


def test_a_hub_that_knows_more_than_we_sent_saves_us_the_repetition() -> None:
    replay = Replay(5)
    replay.was_acked(50, 1.0)
    assert replay.sent == 50


@pytest.mark.parametrize("every_s", [5, 1])
def test_a_day_of_samples_by_both_ways_stays_within_what_a_hub_takes(every_s: int) -> None:
    """The link and the leftovers by REST at once, beside live samples each second: never a refusal, never slowed."""
    budget, now = MachineBudget(), 0.0
    budget.spend(1, now, Cost(samples=SAMPLES_AT_ONCE))  # nothing saved up
    for seconds in range(0, 86_400 // every_s, FRAME_SAMPLES):
        del seconds
        now += pause_after(FRAME_SAMPLES)
        for _ in ("by the link", "by REST"):
            assert budget.take(1, now, Cost(frames=1, samples=FRAME_SAMPLES, stored_bytes=0)) == 0.0
        assert budget.take(1, now, Cost(frames=2, samples=2)) == 0.0
    assert now <= 86_400 / every_s / REPLAY_SAMPLES_PER_S + 1


def test_a_spool_of_a_day_fits_into_the_share_of_a_day() -> None:
    assert 2 * 86_400 * ROW_BYTES < 64 * MIB, "what waited and what comes, each second"


def test_it_is_known_how_long_the_oldest_frame_has_no_answer() -> None:
    replay = Replay(0)
    assert replay.unanswered_s(5.0) == 0
    replay.was_sent(1, 5.0)
    replay.was_sent(2, 6.0)
    assert replay.unanswered_s(7.0) == 2
    replay.was_acked(2, 8.0)
    assert replay.unanswered_s(9.0) == 0
