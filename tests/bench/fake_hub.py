"""A hub of a hundred lines for testing what speaks to a hub: real WebSockets, the real session, no database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from protocol import messages as m
from protocol.session import Session
from protocol.transitions import Role

T = TypeVar("T")


class Link:
    """One machine's link as the hub sees it; `heard` fills as frames arrive."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.session = Session(Role.HUB, authenticated=True)
        self.key = socket.request.headers["Authorization"] if socket.request else ""
        self.heard: list[Any] = []
        self.ended = anyio.Event()
        self._news = anyio.Event()

    async def say(self, message: m.HubMessage) -> None:
        await self.socket.send(self.session.send(message))

    async def expect(self, kind: type[T], count: int = 1, seconds: float = 5.0) -> T:
        """The `count`-th message of that kind, waiting for it if need be."""
        with anyio.fail_after(seconds):
            while True:
                found = [message for message in self.heard if isinstance(message, kind)]
                if len(found) >= count:
                    return found[count - 1]
                await self._news.wait()

    async def listen(self, metrics_interval: float) -> None:
        try:
            async for frame in self.socket:
                message = self.session.receive(frame).message
                self.heard.append(message)
                if isinstance(message, m.Hello):
                    values = {"metrics_interval": metrics_interval}
                    await self.say(
                        m.Welcome(
                            session_id="1", time="2026-11-23T04:05:06Z", protocol=2, live_interval=0,
                            config=m.Configuration(version=1, values=values),
                        )
                    )  # fmt: skip
                self._tell()
        except ConnectionClosed:
            pass
        finally:
            self.ended.set()
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


class FakeHub:
    def __init__(self) -> None:
        self.url = ""
        self.links: list[Link] = []
        self.metrics_interval = 300.0
        self._news = anyio.Event()

    async def link(self, number: int = 1, seconds: float = 5.0) -> Link:
        """The `number`-th link that was ever opened."""
        with anyio.fail_after(seconds):
            while len(self.links) < number:
                await self._news.wait()
        return self.links[number - 1]

    async def _serve(self, socket: ServerConnection) -> None:
        link = Link(socket)
        self.links.append(link)
        self._news.set()
        self._news = anyio.Event()
        await link.listen(self.metrics_interval)


@contextlib.asynccontextmanager
async def fake_hub() -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    async with serve(hub._serve, "127.0.0.1", 0, subprotocols=[Subprotocol("myrvm.v2")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        hub.url = f"ws://127.0.0.1:{port}/ws/device"
        yield hub
