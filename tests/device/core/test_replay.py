"""How kept samples travel on one link, step by step with a clock in hand."""

from __future__ import annotations

from device.core.replay import SAY_AGAIN_S, WINDOW_FRAMES, Replay


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
    assert replay.patience_left(0.0) == float("inf")


def test_what_nobody_acknowledges_is_said_again_ever_more_patiently() -> None:
    replay = Replay(5)
    replay.was_sent(9, 0.0)
    assert replay.patience_left(10.0) == SAY_AGAIN_S - 10
    assert replay.may_send(SAY_AGAIN_S)
    assert replay.sent == 5, "from the acknowledged position"
    replay.was_sent(9, SAY_AGAIN_S)
    assert replay.patience_left(SAY_AGAIN_S) == 2 * SAY_AGAIN_S


def test_an_old_acknowledgement_changes_nothing() -> None:
    replay = Replay(5)
    replay.was_sent(9, 0.0)
    replay.was_acked(4, 1.0)
    assert (replay.acked, replay.sent) == (5, 9)


def test_a_hub_that_knows_more_than_we_sent_saves_us_the_repetition() -> None:
    replay = Replay(5)
    replay.was_acked(50, 1.0)
    assert replay.sent == 50
