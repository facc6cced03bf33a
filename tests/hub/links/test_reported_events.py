"""Events a machine reports: recorded one by one, counted when it is too much, refused when they are too large."""

from __future__ import annotations

from typing import Any

from hub.links.links import DroppedEvents
from hub.model.budgets import EVENTS_AT_ONCE, WINDOW_S
from hub.model.changes import Change, EventHappened
from protocol import messages as m
from tests.support.link_room import Room, room, text
from tests.support.machines import NOW
from tests.support.until import until


def report(seq: int, **params: Any) -> str:
    return text(m.Event(seq=seq, code="door.open", params=params, timestamp="2026-11-23T08:00:00Z"))


def recorded(hub: Room) -> list[EventHappened]:
    """What is announced from here on, of what machines report."""
    found: list[EventHappened] = []

    def listen(changes: Any) -> None:
        events = [c for c in changes if isinstance(c, Change) and isinstance(c, EventHappened)]
        found.extend(c for c in events if c.code.startswith("machine.event"))

    hub.announce.listen(listen)
    return found


async def test_a_flood_is_received_whole_recorded_in_part_and_counted_in_one_line() -> None:
    async with room() as hub:
        clock = [0.0]
        hub.links.dropped_events = DroppedEvents(lambda: clock[0])
        lines = recorded(hub)
        session, _, wire = hub.connect(burst=10_000)
        for seq in range(EVENTS_AT_ONCE + 50):
            session.receive(report(seq))
            await until(lambda: len(wire.of(m.Received)) > seq)
        assert [line.code for line in lines] == ["machine.event"] * EVENTS_AT_ONCE
        await hub.links.dropped_events.record(hub.announce, NOW)
        assert len(lines) == EVENTS_AT_ONCE, "the minute is not over"
        clock[0] = WINDOW_S
        await hub.links.dropped_events.record(hub.announce, NOW)
        assert lines[-1].code == "machine.events_dropped"
        assert lines[-1].params["count"] == 50
        await hub.links.dropped_events.record(hub.announce, NOW)
        assert len(lines) == EVENTS_AT_ONCE + 1


async def test_an_event_that_is_too_large_is_refused_by_name_and_not_received() -> None:
    async with room() as hub:
        lines = recorded(hub)
        session, _, wire = hub.connect()
        session.receive(report(1, text="x" * 3000))
        session.receive(report(2, text="x" * 100))
        await until(lambda: wire.of(m.Received))
        (refused,) = wire.of(m.Error)
        assert (refused.code, refused.ref) == ("invalid", 1)
        assert refused.message.startswith("params: at most 2048 bytes")
        assert [answer.ref for answer in wire.of(m.Received)] == [2]
        assert len(lines) == 1
