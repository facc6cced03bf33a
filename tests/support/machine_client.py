"""A small machine for tests: real WebSocket, the real wire, and it does only what the test says.

async with MachineClient.connect(hub.websocket_url, key) as machine:
    await machine.say_hello()
    await machine.say(messages.Metrics(seq=1, samples=[...]))
    ack = await machine.hear(messages.MetricsAck)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import websockets
from websockets.asyncio.client import ClientConnection

from device.kernel.tasks import within
from protocol import messages as m
from protocol.session import Session
from protocol.transitions import Role
from protocol.version import PROTOCOL_VERSION, SUBPROTOCOL
from tests.support.hub_people import MachineKey
from tests.support.until import PATIENCE_S

M = TypeVar("M")


class MachineClient:
    """One connection of one machine."""

    def __init__(self, socket: ClientConnection, key: MachineKey, *, authenticated: bool = True) -> None:
        self.socket = socket
        self.key = key
        self.session = Session(Role.MACHINE, authenticated=authenticated)
        self.welcome: m.Welcome | None = None
        self._unheard: list[Any] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, websocket_url: str, key: MachineKey, **options: Any) -> AsyncIterator[MachineClient]:
        """Upgraded with the key in the header; leaves without a bye unless the test says one."""
        async with websockets.connect(
            websocket_url + "/ws/device",
            subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {key.api_key}"},
            compression=None,
            proxy=None,
            **options,
        ) as socket:
            yield cls(socket, key)

    async def say_hello(self, **members: Any) -> m.Welcome:
        """Hello with `members` over the defaults; the welcome that answers it."""
        defaults: dict[str, Any] = {
            "protocol": PROTOCOL_VERSION, "device_id": self.key.device_id, "agent_version": "0.0.0-test",
            "boot_id": "boot-1", "capabilities": ["ping", "set_status"], "status": "active", "config_version": 0,
            "time": "2026-11-23T13:00:00Z",
        }  # fmt: skip
        await self.say(m.Hello(**{**defaults, **members}))
        self.welcome = await self.hear(m.Welcome)
        return self.welcome

    async def say(self, message: m.MachineMessage) -> None:
        await self.socket.send(self.session.send(message))

    async def samples(self, *cpu: float, seq: int, live: bool = False) -> None:
        """One metrics frame; `seq` numbers the last sample."""
        made = [m.Sample(timestamp=time.time(), cpu_usage=value) for value in cpu]
        await self.say(m.Metrics(seq=seq, samples=made, live=live))

    async def hear(self, kind: type[M]) -> M:
        """The next message of that kind; others are kept for later."""
        for place, message in enumerate(self._unheard):
            if isinstance(message, kind):
                del self._unheard[place]
                return message
        while True:
            text = await within(PATIENCE_S, self.socket.recv(decode=True))
            assert isinstance(text, str)
            message = self.session.receive(text).message
            if isinstance(message, kind):
                return message
            self._unheard.append(message)

    async def closed(self) -> int:
        """Read until the hub closes; its close code (1006: without one)."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await within(40, self.socket.recv())
        return self.socket.close_code or 1006
