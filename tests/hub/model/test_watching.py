"""What is watched decides how often a machine sends, and nothing outlives its viewer."""

from __future__ import annotations

from hub.model.presence import WATCH_S, WATCHES_PER_VIEWER, Watching

FLEET = (1, 2, 3)


def test_the_smallest_interval_anybody_wants_counts() -> None:
    watching = Watching()
    watching.watch(10, None, 5.0, 0.0)
    watching.watch(11, 2, 1.0, 0.0)
    assert [watching.interval(rvm_id, 1.0) for rvm_id in FLEET] == [5.0, 1.0, 5.0]
    assert watching.settle(1.0, FLEET) == {1: 5.0, 2: 1.0, 3: 5.0}
    watching.unwatch(11)
    assert watching.settle(2.0, FLEET) == {2: 5.0}
    assert watching.settle(3.0, FLEET) == {}


def test_a_watch_that_is_not_renewed_ends() -> None:
    watching = Watching()
    watching.watch(10, 1, 1.0, 0.0)
    assert watching.settle(0.0, FLEET) == {1: 1.0}
    watching.watch(10, 1, 1.0, 20.0)
    assert watching.settle(WATCH_S + 1, FLEET) == {}
    assert watching.interval(1, 20.0 + WATCH_S) == 0.0
    assert watching.settle(20.0 + WATCH_S, FLEET) == {1: 0.0}


def test_nobody_watching_costs_nothing_and_says_nothing() -> None:
    assert Watching().settle(0.0, FLEET) == {}
    assert Watching().interval(1, 0.0) == 0.0


def test_a_technician_wakes_only_the_own_machines() -> None:
    watching = Watching()
    watching.watch(10, None, 5.0, 0.0, reach=frozenset({2, 99}))
    assert watching.settle(0.0, FLEET) == {2: 5.0}
    assert watching.interval(1, 0.0) == 0.0


def test_a_machine_that_was_removed_is_dropped() -> None:
    watching = Watching()
    watching.watch(10, None, 5.0, 0.0)
    watching.settle(0.0, FLEET)
    assert watching.settle(1.0, (1, 2)) == {3: 0.0}
    assert watching.settle(2.0, FLEET) == {3: 5.0}


def test_intervals_are_kept_within_one_second_and_one_minute() -> None:
    watching = Watching()
    watching.watch(10, 1, 0.001, 0.0)
    watching.watch(11, 2, 9999.0, 0.0)
    assert watching.settle(0.0, FLEET) == {1: 1.0, 2: 60.0}


def test_one_viewer_cannot_hold_any_number_of_watches() -> None:
    watching = Watching()
    for rvm_id in range(WATCHES_PER_VIEWER + 5):
        watching.watch(10, rvm_id, 1.0, 0.0)
    assert len(watching.settle(0.0, range(100))) == WATCHES_PER_VIEWER
