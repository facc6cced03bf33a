"""A token bucket and a map of them, with a clock that is a number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.budgets import TokenBucket, TokenBuckets


def test_a_burst_and_then_so_much_a_second() -> None:
    bucket = TokenBucket(rate=2.0, burst=5, now=100.0)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.wait(100.0) == 0.5
    assert not bucket.take(100.4)
    assert bucket.take(100.5)
    assert not bucket.take(100.5)
    assert [bucket.take(1000.0) for _ in range(6)] == [True] * 5 + [False], "no more than the burst is saved up"


def test_what_costs_more_waits_longer_and_takes_nothing_until_then() -> None:
    bucket = TokenBucket(rate=10.0, burst=40, now=0.0)
    assert [bucket.take(0.0, 10) for _ in range(5)] == [True] * 4 + [False]
    assert bucket.wait(0.0, 10) == 1.0
    assert bucket.wait(0.5, 1) == 0.0
    assert bucket.take(0.5, 5)
    assert bucket.available(0.5) == 0


def test_what_has_happened_already_may_overdraw() -> None:
    bucket = TokenBucket(rate=4.0, burst=2, now=0.0)
    assert [bucket.spend(0.0) for _ in range(4)] == [1, 0, -1, -2]
    assert bucket.wait(0.0, 0) == 0.5
    assert bucket.wait(0.0) == 0.75
    assert not bucket.take(0.5)
    assert bucket.available(0.5) == 0


def test_what_never_comes_is_waited_for_for_ever() -> None:
    assert TokenBucket(rate=1.0, burst=5, now=0.0).wait(0.0, 6) == math.inf
    dry = TokenBucket(rate=0.0, burst=1, now=0.0)
    assert dry.take(0.0)
    assert dry.wait(1e9) == math.inf
    assert TokenBucket(rate=0.0, burst=math.inf, now=0.0).spend(0.0) == math.inf, "no limit"


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    bucket = TokenBucket(rate=1.0, burst=2, now=10.0)
    assert bucket.take(10.0)
    assert bucket.available(5.0) == 1


@given(
    st.floats(0.1, 100),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.5, 5)), max_size=60),
)
def test_never_more_than_the_burst_and_what_came_in(rate: float, burst: int, asked: list[tuple[float, float]]) -> None:
    bucket, now, taken = TokenBucket(rate, burst, 0.0), 0.0, 0.0
    for later, amount in asked:
        now += later
        wait = bucket.wait(now, amount)
        assert bucket.take(now, amount) is (wait == 0)
        taken += amount if wait == 0 else 0
        assert taken <= burst + now * rate + 1e-6
        if 0 < wait < math.inf:
            assert bucket.available(now + wait) == pytest.approx(amount)


def test_each_key_has_its_own() -> None:
    buckets = TokenBuckets[str](rate=1.0, burst=1, most=10)
    assert buckets.wait("a", 0.0) == 0
    assert len(buckets) == 0, "looking makes no bucket"
    assert [buckets.take("a", 0.0), buckets.take("a", 0.0), buckets.take("b", 0.0)] == [0, 1, 0]
    assert (buckets.wait("a", 0.25), buckets.wait("c", 0.25)) == (0.75, 0)


def test_what_did_not_count_is_given_back() -> None:
    buckets = TokenBuckets[str](rate=1.0, burst=2, most=10)
    buckets.take("a", 0.0, 2)
    buckets.give_back("a", 0.0)
    buckets.give_back("nobody", 0.0)
    assert (buckets.take("a", 0.0), len(buckets)) == (0, 1)


def test_full_ones_are_dropped() -> None:
    buckets = TokenBuckets[int](rate=1.0, burst=5, most=1000)
    for key in range(100):
        buckets.take(key, float(key // 10))
    assert len(buckets) == 10
    buckets.take(100, 1e6)
    assert len(buckets) == 1


def test_the_map_is_bounded_and_loses_the_one_unused_the_longest() -> None:
    buckets = TokenBuckets[int](rate=1.0, burst=1, most=3)
    for key in (1, 2, 3):
        buckets.take(key, 0.0)
    assert buckets.take(1, 0.5) == 0.5, "asked again: no longer the oldest"
    buckets.take(4, 0.5)
    assert len(buckets) == 3
    assert [buckets.wait(key, 0.5) for key in (1, 2, 3, 4)] == [0.5, 0, 0.5, 1]
