"""Events that wait for a database that is away: none lost, none twice, in order; of too many the newest stay."""

from __future__ import annotations

from typing import Any, cast

import pytest

from db.errors import Unavailable
from hub.kernel.observer import AT_ONCE, MAX_PENDING_EVENTS, PendingEvents
from hub.model import actors
from hub.model.changes import EventHappened
from tests.support.machines import NOW


def lines(first: int, last: int) -> list[EventHappened]:
    return [
        EventHappened(at=NOW, code="connection.changed", actor=actors.CLOCK, rvm_id=number, params={})
        for number in range(first, last)
    ]


class Door:
    def __init__(self) -> None:
        self.away_after = MAX_PENDING_EVENTS
        self.calls: list[list[int]] = []

    async def __call__(self, *events: EventHappened) -> None:
        if len(self.calls) >= self.away_after:
            raise Unavailable("away")
        self.calls.append([cast(int, event.rvm_id) for event in events])


async def test_an_outage_in_the_middle_loses_none_repeats_none_and_keeps_the_order() -> None:
    pending, door = PendingEvents(), Door()
    pending.add(lines(0, 2 * AT_ONCE + 1))
    door.away_after = 1
    for _ in range(3):
        with pytest.raises(Unavailable):
            await pending.record(cast(Any, door))
    pending.add(lines(2 * AT_ONCE + 1, 2 * AT_ONCE + 2))
    door.away_after = 10
    await pending.record(cast(Any, door))
    await pending.record(cast(Any, door))
    assert [len(call) for call in door.calls] == [AT_ONCE, AT_ONCE, 2]
    assert [number for call in door.calls for number in call] == list(range(2 * AT_ONCE + 2))


async def test_of_too_many_the_oldest_are_dropped_also_of_those_that_were_tried() -> None:
    pending, door = PendingEvents(), Door()
    pending.add(lines(0, MAX_PENDING_EVENTS))

    class Slow(Door):
        async def __call__(self, *events: EventHappened) -> None:
            pending.add(lines(MAX_PENDING_EVENTS, MAX_PENDING_EVENTS + 300))
            raise Unavailable("away")

    with pytest.raises(Unavailable):
        await pending.record(cast(Any, Slow()))
    await pending.record(cast(Any, door))
    assert [number for call in door.calls for number in call] == list(range(300, MAX_PENDING_EVENTS + 300))
