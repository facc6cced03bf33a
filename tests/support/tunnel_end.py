"""A machine's end of one tunnel that keeps the rules: protocol.streams over a real socket, driven by the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import websockets
from websockets.asyncio.client import ClientConnection

from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import SessionStream
from protocol.stream_limits import TUNNEL_SUBPROTOCOL
from protocol.streams import Opened as Asked
from protocol.streams import Role, StreamEvent, Streams
from protocol.tunnel_greeting import TunnelOpen, TunnelOpened, encode, read_opened
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere
from tests.support.until import PATIENCE_S

Event = TypeVar("Event")


class TunnelEnd:
    """One socket; `streams` may be carried over to the next one."""

    def __init__(self, socket: ClientConnection, streams: Streams) -> None:
        self.socket = socket
        self.streams = streams
        self.session_id = 0
        self._events: deque[StreamEvent] = deque()

    async def open(self, session_id: int, **secret: Any) -> TunnelOpened:
        """Say what the tunnel is for (ticket=, or resume= with what was taken); the hub's answer, obeyed."""
        self.session_id = session_id
        await self.socket.send(encode(TunnelOpen(session_id=session_id, received=self.streams.taken, **secret)))
        text = await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
        assert isinstance(text, str)
        opened = read_opened(text)
        self.streams.resume(opened.received)
        return opened

    async def refused(self, session_id: int, **secret: Any) -> int:
        """Say what the tunnel is for and be refused; the close code."""
        await self.socket.send(encode(TunnelOpen(session_id=session_id, **secret)))
        return await self.close_code()

    async def flush(self) -> None:
        """Write all that there is to say."""
        while frames := self.streams.to_send():
            for frame in frames:
                await self.socket.send(frame)

    async def event(self, kind: type[Event]) -> Event:
        """The next event of that kind; others before it are passed over."""
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, kind):
                    return event
            data = await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
            assert isinstance(data, bytes)
            self._events.extend(self.streams.receive(data))
            await self.flush()

    async def close_code(self) -> int:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
        return int(self.socket.close_code or 1006)


@contextlib.asynccontextmanager
async def tunnel_end(hub: HubHere, key: MachineKey, streams: Streams | None = None) -> AsyncIterator[TunnelEnd]:
    """Upgraded with that machine's key; nothing said yet."""
    async with websockets.connect(
        hub.websocket_url + "/ws/tunnel",
        subprotocols=[websockets.Subprotocol(TUNNEL_SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {key.api_key}"},
        compression=None,
        proxy=None,
    ) as socket:
        yield TunnelEnd(socket, streams if streams is not None else Streams(Role.MACHINE))


SESSION = 7


def ticket(hub: HubHere, key: MachineKey, session_id: int = SESSION) -> str:
    return hub.context[Tunnels].tickets.issue(session_id, key.id)


async def begun(hub: HubHere, end: TunnelEnd, kind: str = "terminal") -> tuple[SessionStream, int]:
    """A stream that the machine at `end` has accepted, and its id."""
    opening = asyncio.ensure_future(hub.context[Tunnels].open(end.session_id, kind, {"cols": 80}))
    asked = await end.event(Asked)
    assert (asked.kind, asked.args) == (kind, {"cols": 80})
    end.streams.accept(asked.id, {"pid": 1})
    await end.flush()
    return await asyncio.wait_for(opening, PATIENCE_S), asked.id
