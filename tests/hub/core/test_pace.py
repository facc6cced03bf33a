"""How much a machine may make the hub write of its own accord."""

from __future__ import annotations

import pytest

from hub.core.pace import AT_ONCE, PER_MINUTE, rate_limit


def test_a_burst_and_then_so_much_a_minute() -> None:
    words = rate_limit()
    assert [words.take(1, 100.0) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    wait = words.take(1, 100.0)
    assert wait == pytest.approx(60 / PER_MINUTE)
    assert words.take(1, 100.0) == wait, "who is told to wait has taken nothing"
    assert words.take(2, 100.0) == 0.0, "each machine has its own"
    assert words.take(1, 100.0 + wait) == 0.0
    assert sum(not words.take(1, 200.0 + second / 10) for second in range(600)) <= 100 + PER_MINUTE


def test_machines_that_have_everything_left_are_forgotten() -> None:
    words = rate_limit()
    for rvm_id in range(1000):
        assert words.take(rvm_id, 10.0 * rvm_id) == 0.0
    assert len(words) == 1
