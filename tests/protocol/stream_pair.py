"""A hub and a machine joined by a wire in memory that can be cut: every rule is tried through both ends."""

from __future__ import annotations

from collections import deque
from typing import Any

from protocol.streams import Accepted, Data, Ended, Opened, Role, StreamEvent, Streams


class Pair:
    """`hub` and `machine`; `flow` carries until nothing moves, `cut` loses what is on its way and resumes."""

    def __init__(self) -> None:
        self.hub = Streams(Role.HUB)
        self.machine = Streams(Role.MACHINE)
        self.wires: dict[Role, deque[bytes]] = {Role.HUB: deque(), Role.MACHINE: deque()}
        """What is on its way, by who is to receive it."""

    def end(self, role: Role) -> Streams:
        return self.hub if role is Role.HUB else self.machine

    def push(self, role: Role, most: int = 64 * 1024) -> int:
        """What `role` has to say goes on its way; how many frames."""
        frames = self.end(role).to_send(most)
        self.wires[Role.MACHINE if role is Role.HUB else Role.HUB].extend(frames)
        return len(frames)

    def pull(self, role: Role, count: int | None = None) -> list[StreamEvent]:
        """`role` receives so many frames of what is on its way to it."""
        wire, events = self.wires[role], list[StreamEvent]()
        for _ in range(len(wire) if count is None else min(count, len(wire))):
            events += self.end(role).receive(wire.popleft())
        return events

    def flow(self) -> tuple[list[StreamEvent], list[StreamEvent]]:
        """Carry both ways until silence; what the hub and the machine were told."""
        told: dict[Role, list[StreamEvent]] = {Role.HUB: [], Role.MACHINE: []}
        moving = True
        while moving:
            moving = False
            for role in Role:
                moving |= self.push(role) > 0
                told[Role.HUB] += self.pull(Role.HUB)
                told[Role.MACHINE] += self.pull(Role.MACHINE)
        return told[Role.HUB], told[Role.MACHINE]

    def settle(self) -> tuple[list[StreamEvent], list[StreamEvent]]:
        """Carry, and let time pass, until both have acknowledged everything."""
        first = self.flow()
        self.hub.acknowledge()
        self.machine.acknowledge()
        more = self.flow()
        return first[0] + more[0], first[1] + more[1]

    def cut(self) -> None:
        """The tunnel drops with all that is on its way; a new one is opened."""
        for wire in self.wires.values():
            wire.clear()
        hub_taken, machine_taken = self.hub.taken, self.machine.taken
        self.hub.resume(machine_taken)
        self.machine.resume(hub_taken)

    def opened(self, kind: str = "terminal", args: dict[str, Any] | None = None) -> int:
        """A stream that both ends know and the machine accepted."""
        stream_id = self.hub.open(kind, args or {})
        _, told = self.flow()
        assert told == [Opened(stream_id, kind, args or {})]
        self.machine.accept(stream_id, {"pid": 7})
        told, _ = self.flow()
        assert told == [Accepted(stream_id, {"pid": 7})]
        return stream_id


def data_of(events: list[StreamEvent], stream_id: int) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data) and event.id == stream_id)


def ended(events: list[StreamEvent]) -> list[int]:
    return [event.id for event in events if isinstance(event, Ended)]
