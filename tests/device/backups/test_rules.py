"""What is decided about backups, step by step with a clock in hand."""

from __future__ import annotations

import pytest

from device.backups.rules import (
    BEHIND_S,
    CAUGHT_UP_S,
    FASTER,
    FASTER_EVERY_S,
    FREE_RATE,
    LEAST_RATE,
    MAX_RUN_S,
    MOST_IN_FLIGHT,
    PARK_MOST_S,
    PROLONGED_S,
    QUICK_PART_S,
    SLOWER,
    TURN_S,
    YIELD_MOST_S,
    ControlWatch,
    RateLimit,
    fitting_result,
    park_s,
    parts_in_flight,
    prolonged_s,
    wanted_type,
)
from protocol import free_shape
from protocol.limits import MAX_RESULT_BYTES


@pytest.mark.parametrize(
    ("asked", "chain", "made"),
    [
        ("full", (1, 2), "full"),
        ("incremental", (1, 2), "incremental"),
        ("incremental", (), "full"),
        ("incremental", (1, 2, 3), "full"),
    ],
)
def test_without_a_good_base_or_with_a_full_chain_it_is_a_full_one(
    asked: str, chain: tuple[int, ...], made: str
) -> None:
    assert wanted_type(asked, chain, 3) == made  # type: ignore[arg-type]


def test_progress_moves_the_deadline_and_a_day_is_the_end() -> None:
    assert prolonged_s(began=100.0, now=200.0) == PROLONGED_S
    assert prolonged_s(began=0.0, now=MAX_RUN_S - 60) == 60
    assert prolonged_s(began=0.0, now=MAX_RUN_S + 60) == 0


def test_a_hub_that_is_away_is_asked_ever_less_often_and_when_it_wants() -> None:
    assert [park_s(n, 1.0) for n in (1, 2, 3)] == [1, 2, 4]
    assert park_s(1, 0.0) == 0.5
    assert park_s(50, 1.0) == PARK_MOST_S
    assert park_s(1, 0.0, retry_after_s=7) == 7
    assert park_s(1, 0.0, retry_after_s=1e9) == PARK_MOST_S


def test_bulk_yields_to_a_link_that_is_behind_until_it_has_caught_up() -> None:
    watch = ControlWatch()
    assert not watch.yields(BEHIND_S - 0.1, 0.0)
    assert watch.yields(BEHIND_S, 1.0)
    assert watch.yields(CAUGHT_UP_S, 2.0)
    assert not watch.yields(CAUGHT_UP_S - 0.1, 3.0)
    assert not watch.yields(CAUGHT_UP_S, 4.0)


def test_what_is_slow_by_itself_starves_no_backup() -> None:
    watch = ControlWatch()
    assert watch.yields(3.0, 0.0)
    assert watch.yields(3.0, YIELD_MOST_S - 0.1)
    assert not watch.yields(3.0, YIELD_MOST_S)
    assert not watch.yields(3.0, YIELD_MOST_S + TURN_S - 0.1)
    assert watch.yields(3.0, YIELD_MOST_S + TURN_S)


def test_the_rate_of_the_settings_holds_for_all_connections_together() -> None:
    limit = RateLimit(1000.0, 0.0)
    assert limit.wait_s(0.0) == 0
    limit.was_sent(500, 0.0)
    limit.was_sent(500, 0.0)
    assert limit.wait_s(0.25) == 0.75
    assert limit.wait_s(2.0) == 0, "what was not used is not saved up"
    limit.was_sent(100, 2.0)
    assert limit.wait_s(2.0) == pytest.approx(0.1)


def test_without_a_rate_nothing_waits() -> None:
    limit = RateLimit(0.0, 0.0)
    limit.was_sent(10**9, 0.0)
    assert (limit.rate, limit.wait_s(0.0)) == (0, 0)


def test_a_link_that_fell_behind_makes_bulk_slower_for_a_while() -> None:
    limit = RateLimit(0.0, 0.0)
    limit.was_sent(100_000, 1.0)
    limit.fell_behind(1.0)
    assert limit.rate == SLOWER * 100_000
    limit.resumed(5.0)
    limit.was_sent(50_000, 6.0)
    limit.fell_behind(6.0)
    assert limit.rate == SLOWER * 50_000, "what went is measured from where it went on"
    limit.wait_s(6.0 + FASTER_EVERY_S)
    assert limit.rate == SLOWER * 50_000 * FASTER
    limit.resumed(20.0)
    limit.was_sent(10**9, 21.0)
    limit.fell_behind(21.0)
    assert limit.rate < 100_000, "never faster because it fell behind"


def test_bulk_is_never_made_slower_than_a_trickle_nor_faster_than_the_settings() -> None:
    limit = RateLimit(20_000.0, 0.0)
    limit.was_sent(10, 1.0)
    limit.fell_behind(1.0)
    assert limit.rate == LEAST_RATE
    for n in range(1, 40):
        limit.wait_s(1.0 + n * FASTER_EVERY_S)
    assert limit.rate == 20_000


@pytest.mark.parametrize(("sent", "after"), [(0, 1.0), (100_000, 0.1)])
def test_what_was_not_measured_teaches_nothing(sent: int, after: float) -> None:
    limit = RateLimit(0.0, 0.0)
    limit.was_sent(sent, 0.0)
    limit.fell_behind(after)
    assert limit.rate == 0


def test_what_was_learned_is_dropped_when_it_is_no_limit_any_more() -> None:
    limit = RateLimit(0.0, 0.0)
    limit.was_sent(int(FREE_RATE), 1.0)
    limit.fell_behind(1.0)
    for n in range(1, 5):
        limit.wait_s(1.0 + n * FASTER_EVERY_S)
    assert limit.rate == 0


def test_one_part_travels_until_the_uplink_is_known_to_be_quick() -> None:
    assert parts_in_flight(None, MOST_IN_FLIGHT) == 1
    assert parts_in_flight(QUICK_PART_S, MOST_IN_FLIGHT) == MOST_IN_FLIGHT
    assert parts_in_flight(QUICK_PART_S, 1) == 1, "where the store keeps whole parts only"
    assert parts_in_flight(QUICK_PART_S + 1, MOST_IN_FLIGHT) == 1


def test_a_result_fits_the_wire_whatever_the_report() -> None:
    short = {"backup_id": 1, "report": [{"path": "a", "code": "vanished"}]}
    assert fitting_result(short) == short
    assert fitting_result({"report": [], "note": "x" * MAX_RESULT_BYTES})["report"] == []
    fitted = fitting_result({"backup_id": 1, "report": [{"path": "p" * 200, "code": "vanished"}] * 200})
    assert free_shape.fits(fitted, MAX_RESULT_BYTES)
    assert 20 < len(fitted["report"]) == 200 - fitted["report_left_out"]
