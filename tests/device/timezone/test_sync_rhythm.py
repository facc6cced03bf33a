"""The next attempt, with a clock and a die in hand."""

from __future__ import annotations

import pytest

from device.timezone.rules import SyncRhythm

INF = float("inf")


def rhythm(die: float = 0.5, interval: float = 3600, *, enabled: bool = True) -> SyncRhythm:
    made = SyncRhythm(lambda: die)
    made.set_interval(enabled, interval)
    return made


def test_the_first_attempt_is_due_at_once_unless_automatic_ones_are_off() -> None:
    assert rhythm().due() == -INF
    assert rhythm(enabled=False).due() == INF


@pytest.mark.parametrize(("die", "due"), [(0.0, 3340.0), (0.5, 3700.0), (1.0, 4060.0)])
def test_jitter_spreads_a_fleet(die: float, due: float) -> None:
    made = rhythm(die)
    made.attempted(100, found=True)
    assert made.due() == pytest.approx(due)


def test_an_attempt_that_found_nothing_is_tried_again_sooner_but_never_in_a_hurry() -> None:
    made = rhythm()
    waits = []
    for _ in range(9):
        made.attempted(0, found=False)
        waits.append(made.due())
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    made.attempted(0, found=True)
    assert made.due() == 3600


def test_another_interval_counts_from_the_last_attempt() -> None:
    made = rhythm()
    made.attempted(1000, found=True)
    made.set_interval(True, 60)
    assert made.due() == 1060
    made.set_interval(False, 60)
    assert made.due() == INF
    made.set_interval(True, 60)
    made.at_once()
    assert made.due() == -INF
