"""Delays by a table: full jitter under a cap, slow for refusals, obedient to the hub, reset by a link that held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.link.rules import CAP_S, End, Kind, RetryPolicy
from protocol.limits import REPLACED_LEAST_S, REPLACED_MOST_S

LOST = End(Kind.CLOSED, "lost", live_s=1.0)
LONG_AGO = 1000.0


def delays(end: End, count: int, dice: float, since_attempt: float = LONG_AGO) -> list[float]:
    policy = RetryPolicy(2.0, lambda: dice)
    return [round(policy.after(end, since_attempt), 3) for _ in range(count)]


def test_ordinary_failures_double_up_to_the_cap() -> None:
    assert delays(End(Kind.UNREACHABLE, "x"), 8, 0.5) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_full_jitter_reaches_down_to_nothing_but_never_more_than_one_attempt_a_second() -> None:
    assert delays(End(Kind.UNREACHABLE, "x"), 3, 0.0) == [0, 0, 0]
    assert delays(End(Kind.UNREACHABLE, "x"), 3, 0.0, since_attempt=0.4) == [0.6, 0.6, 0.6]


def test_an_accepted_then_closed_link_does_not_reset_the_delay() -> None:
    assert delays(LOST, 4, 0.99)[-1] > delays(LOST, 1, 0.99)[0]


def test_a_link_that_held_resets_the_delay() -> None:
    policy = RetryPolicy(2.0, lambda: 0.5)
    for _ in range(6):
        policy.after(LOST, LONG_AGO)
    assert policy.after(End(Kind.CLOSED, "lost", live_s=31.0), LONG_AGO) == 1.0


@pytest.mark.parametrize("code", [401, 403, 429, 4401, 4403])
@pytest.mark.parametrize("dice", [0.0, 0.999])
def test_refusals_wait_at_least_half_a_minute(code: int, dice: float) -> None:
    waited = delays(End(Kind.CLOSED, "no", code, live_s=100.0), 5, dice)
    assert all(30 <= delay <= 300 for delay in waited)


@pytest.mark.parametrize("live_s", [0.0, 29.0, 100.0])
def test_a_takeover_is_answered_within_what_the_hub_watches_however_often(live_s: float) -> None:
    """Who waited longer each time would never be seen beside the other holder of its key."""
    for dice, delay in ((0.0, REPLACED_LEAST_S), (0.5, 45.0), (1.0, REPLACED_MOST_S)):
        assert delays(End(Kind.CLOSED, "no", 4409, live_s=live_s), 20, dice) == [delay] * 20


def test_a_version_nobody_shares_is_tried_very_rarely() -> None:
    assert delays(End(Kind.CLOSED, "no", 4426), 1, 0.0) == [600]


def test_a_restarting_hub_is_obeyed_and_counts_as_no_failure() -> None:
    policy = RetryPolicy(2.0, lambda: 0.5)
    for _ in range(5):
        policy.after(LOST, LONG_AGO)
    assert policy.after(End(Kind.RESTARTING, "x", wait_s=12.0, live_s=1.0), LONG_AGO) == 12.0
    assert policy.after(LOST, LONG_AGO) == 2.0


def test_a_retry_after_is_a_lower_bound_and_is_spread() -> None:
    assert delays(End(Kind.REFUSED, "busy", 503, wait_s=20), 1, 0.5) == [21.0]
    assert delays(End(Kind.REFUSED, "busy", 429, wait_s=200), 1, 0.0) == [200.0]


def test_a_machine_that_comes_a_moment_too_soon_is_not_kept_waiting_for_half_a_minute() -> None:
    """The hub replaces a link once a second at most; a network that flaps may be quicker than that."""
    assert delays(End(Kind.REFUSED, "too soon", 429, wait_s=1), 1, 0.5) == [2.0]


@given(st.floats(0, 0.9999), st.integers(1, 100), st.floats(0, 10**9))
def test_no_ordinary_delay_exceeds_the_cap_whatever_happens(dice: float, failures: int, age: float) -> None:
    policy = RetryPolicy(2.0, lambda: dice)
    assert all(0 <= policy.after(LOST, age) <= CAP_S for _ in range(failures))
