"""How long a reading has been beyond its limit, sample by sample."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.model.changes import SampleSeen
from hub.model.fleet import READING_MEMBERS, Fleet
from hub.model.machine import Lasting
from hub.model.presence import counting, lasting
from tests.support.machines import NOW, machine, sample

CPU, HEAT = "cpu_usage", "temperature"


def after(*samples: tuple[float, tuple[str, ...]]) -> dict[str, float]:
    """What counts after these samples, and since when, in seconds."""
    found: tuple[Lasting, ...] = ()
    for at_s, over in samples:
        found = lasting(found, over, NOW + timedelta(seconds=at_s))
    return {code: (since - NOW).total_seconds() for code, since in counting(found)}


@pytest.mark.parametrize(
    ("samples", "counts"),
    [
        ([(0, (CPU,))], {}),
        ([(0, (CPU,)), (59, (CPU,))], {}),
        ([(0, (CPU,)), (60, (CPU,))], {CPU: 0.0}),
        ([(0, (CPU,)), (300, (CPU,))], {CPU: 0.0}),
        ([(0, (CPU,)), (60, (CPU,)), (61, ())], {CPU: 0.0}),
        ([(0, (CPU,)), (60, (CPU,)), (61, ()), (100, (CPU,)), (159, ())], {CPU: 0.0}),
        ([(0, (CPU,)), (60, (CPU,)), (120, ())], {}),
        ([(0, (CPU,)), (60, (CPU,)), (120, ()), (121, (CPU,))], {}),
        ([(0, (HEAT,))], {HEAT: 0.0}),
        ([(0, (HEAT,)), (59, ())], {HEAT: 0.0}),
        ([(0, (HEAT,)), (60, ())], {}),
        ([(0, (HEAT, CPU)), (60, (CPU, HEAT))], {CPU: 0.0, HEAT: 0.0}),
        ([(100, (HEAT,)), (50, (HEAT,))], {HEAT: 50.0}),
        ([(100, (HEAT,)), (50, ())], {}),
    ],
)  # fmt: skip
def test_one_sample_brings_no_load_into_the_list_and_one_takes_nothing_out(
    samples: list[tuple[float, tuple[str, ...]]], counts: dict[str, float]
) -> None:
    assert after(*samples) == counts


def test_the_feed_has_news_only_when_what_counts_is_another() -> None:
    fleet = Fleet([machine()])
    told = []
    for at_s, cpu in ((0, 95.0), (60, 96.0), (61, 20.0), (90, 97.0), (200, 20.0), (201, 20.0)):
        at = NOW + timedelta(seconds=at_s)
        touched = fleet.apply(
            SampleSeen(rvm_id=7, sample=sample(cpu_usage=cpu), taken_at=at, received_at=at, boot_id=None, seq=1)
        )
        assert touched is not None
        told.append(sorted(touched.members - READING_MEMBERS))
    assert told == [[], ["lasting"], [], [], ["lasting"], []]


def test_a_clock_that_is_behind_puts_no_beginning_back() -> None:
    """Kept samples have the machine's own date, live ones of such a clock the hub's."""
    fleet = Fleet([machine(clock_offset_s=-7200.0)])
    for at_s, behind_s in ((0, 7200), (30, 0), (300, 7200)):
        now = NOW + timedelta(seconds=at_s)
        stamp = now - timedelta(seconds=behind_s)
        fleet.apply(SampleSeen(rvm_id=7, sample=sample(temperature=90.0), taken_at=stamp, received_at=now))
    assert counting(fleet.machines[7].lasting) == ((HEAT, NOW),)
