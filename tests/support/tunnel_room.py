"""Tunnels without sockets: a clock that stands, one machine's end, and what whoever ends sessions was told."""

from __future__ import annotations

import anyio

from db.errors import Unavailable
from hub.remote.tunnel.registry import Admission, Tunnels
from hub.remote.tunnel.tunnel import Attachment, SessionStream
from protocol.errors import CloseCode
from protocol.streams import Opened, Role, Streams
from protocol.tunnel_greeting import TunnelOpen

SESSION, MACHINE = 7, 1


class Room:
    """Tunnels with a clock that stands, one machine's end, and what was told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.faults: list[tuple[int, str]] = []
        self.refusing = 0
        self.tunnels = Tunnels(monotonic=lambda: self.now)
        self.tunnels.on_fault = self.on_fault
        self.machine = Streams(Role.MACHINE)
        self.attachment: Attachment | None = None
        self.resume = ""

    async def on_fault(self, session_id: int, reason: str) -> None:
        if self.refusing:
            self.refusing -= 1
            raise Unavailable("the database is away")
        self.faults.append((session_id, reason))

    def admit(self, **secret: str) -> Admission | CloseCode:
        greeting = TunnelOpen(session_id=SESSION, received=self.machine.taken, **secret)
        return self.tunnels.admit(greeting, MACHINE)

    def up(self) -> None:
        admission = self.admit(ticket=self.tunnels.tickets.issue(SESSION, MACHINE))
        assert isinstance(admission, Admission)
        self.attachment, self.resume = admission.attachment, admission.resume

    def down(self) -> None:
        assert self.attachment is not None
        self.attachment.tunnel.detach(self.attachment)

    def to_machine(self) -> list[object]:
        assert self.attachment is not None
        return [event for frame in self.attachment.to_send(1_000_000) for event in self.machine.receive(frame)]

    def to_hub(self) -> None:
        assert self.attachment is not None
        for frame in self.machine.to_send(1_000_000):
            self.attachment.receive(frame)

    async def opened(self) -> SessionStream:
        found: list[SessionStream] = []

        async def ask() -> None:
            found.append(await self.tunnels.open(SESSION, "terminal", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            for event in self.to_machine():
                assert isinstance(event, Opened)
                self.machine.accept(event.id, {})
            self.to_hub()
        return found[0]


def is_up(tunnels: Tunnels, session_id: int) -> bool:
    """Whether a socket carries the tunnel now."""
    tunnel = tunnels._tunnels.get(session_id)
    return tunnel is not None and tunnel.attached is not None
