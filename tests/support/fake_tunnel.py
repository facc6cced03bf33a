"""The hub's end of tunnels for tests of the agent: tickets, resumption, streams; every drop on demand.

tunnels = FakeTunnels(); hub = FakeHub(tunnels=tunnels)   # or `async with tunnelled_hub() as (hub, tunnels)`
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from device.kernel.tasks import wait_at_most
from protocol import tunnel_greeting as greeting
from protocol.streams import (
    Accepted,
    Controlled,
    Data,
    Ended,
    Role,
    StreamProtocolError,
    Streams,
    WasReset,
)
from tests.support.fake_hub import FakeHub
from tests.support.until import PATIENCE_S

RESUME = "resume-secret"


class FakeTunnels:
    """One session's streams, over as many sockets as it takes. `tickets` are those that open one, once."""

    def __init__(self) -> None:
        self.streams = Streams(Role.HUB)
        self.tickets: set[str] = set()
        self.greetings: list[greeting.TunnelOpen] = []
        self.sockets: list[ServerConnection] = []
        self.accepted: dict[int, dict[str, Any]] = {}
        self.data: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.controls: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self.ended: set[int] = set()
        self.resets: dict[int, str] = {}
        self.close_with = 0
        self.reads = True
        """Whether bytes that came are consumed, so that more may come."""
        self._wake = asyncio.Event()
        self._news = asyncio.Condition()

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        async def wait() -> None:
            async with self._news:
                await self._news.wait_for(lambda: bool(condition()))

        await asyncio.wait_for(wait(), seconds)

    async def opened(self, count: int = 1) -> None:
        """The `count`-th socket has been greeted."""
        await self.until(lambda: len(self.sockets) >= count)

    def open(self, kind: str, **args: Any) -> int:
        stream = self.streams.open(kind, args)
        self._wake.set()
        return stream

    def send(self, stream: int, data: bytes) -> None:
        assert self.streams.send(stream, data) == len(data)
        self._wake.set()

    def end(self, stream: int) -> None:
        self.streams.end(stream)
        self._wake.set()

    def drop(self) -> None:
        """Without a word, as a network does."""
        self.sockets[-1].transport.abort()

    async def serve(self, socket: ServerConnection) -> None:
        opening = greeting.read_open(str(await socket.recv()))
        self.greetings.append(opening)
        if self.close_with:
            await socket.close(self.close_with)
            return
        if opening.resume != RESUME and opening.ticket not in self.tickets:
            await socket.close(4401, "no such ticket")
            return
        self.tickets.discard(opening.ticket or "")
        answer = greeting.TunnelOpened(
            session_id=opening.session_id, resume=RESUME, received=self.streams.taken, idle=900
        )
        await socket.send(greeting.encode(answer))
        self.streams.resume(opening.received)
        self.sockets.append(socket)
        await self._notify()
        speaking = asyncio.ensure_future(self._speak(socket))
        try:
            async for frame in socket:
                assert isinstance(frame, bytes)
                for event in self.streams.receive(frame):
                    self._take(event)
                self._wake.set()
                await self._notify()
        except StreamProtocolError as wrong:
            await socket.close(4400, wrong.code)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    def _take(self, event: Any) -> None:
        if isinstance(event, Accepted):
            self.accepted[event.id] = event.info
        elif isinstance(event, Data):
            self.data[event.id] += event.data
            if self.reads:
                self.streams.consumed(event.id, len(event.data))
        elif isinstance(event, Controlled):
            self.controls[event.id].append(event.values)
        elif isinstance(event, Ended):
            self.ended.add(event.id)
        elif isinstance(event, WasReset):
            self.resets[event.id] = event.code

    async def _speak(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._wake.clear()
                self.streams.acknowledge()
                for frame in self.streams.to_send():
                    await socket.send(frame)
                await wait_at_most(self._wake, 0.2)  # `wait_for` may lose the cancellation that ends this

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()


@contextlib.asynccontextmanager
async def tunnelled_hub() -> AsyncIterator[tuple[FakeHub, FakeTunnels]]:
    hub, tunnels = FakeHub(), FakeTunnels()
    hub.serve_tunnel = tunnels.serve
    await hub.start()
    try:
        yield hub, tunnels
    finally:
        await hub.stop()
