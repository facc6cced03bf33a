"""A hub to test agents against: real WebSockets, the real session, a dictionary for a database, moods on demand.

It commits kept samples at once by (boot, seq) and counts every repetition, acknowledges unless told not to, confirms
results and status reports unless told not to.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from protocol import kinds
from protocol import messages as m
from protocol.board import Board
from protocol.errors import RemoteProtocolError
from protocol.session import Session
from protocol.stream_limits import TUNNEL_SUBPROTOCOL
from protocol.transitions import Role
from protocol.version import SUBPROTOCOL
from tests.support.until import PATIENCE_S

KEY = "rvmk_testtest_0123456789abcdefghijABCDEFGHIJ"
SPOKEN = [Subprotocol(SUBPROTOCOL), Subprotocol(TUNNEL_SUBPROTOCOL)]
T = TypeVar("T")


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FakeLink:
    """One link as the hub sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.session = Session(Role.HUB, authenticated=True)
        self.hello: m.Hello | None = None
        self.heard: list[Any] = []

    async def say(self, message: m.HubMessage) -> None:
        await self.socket.send(self.session.send(message))

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in self.heard if isinstance(message, kind)]


class FakeHub:
    """`port` 0 picks a free one; `restart` comes back on the same."""

    def __init__(self) -> None:
        self.port = 0
        self.links: list[FakeLink] = []
        self.requests: list[str] = []
        self.kept: dict[tuple[str, int], m.Sample] = {}
        self.deliveries: Counter[tuple[str, int]] = Counter()
        self.live: list[m.Sample] = []
        self.updates: dict[str, list[m.CommandUpdate]] = {}
        self.reports: list[m.StatusReport] = []
        self.goodbyes: list[m.Bye] = []
        self.configuration = m.Configuration(version=0, values={})
        self.applied: list[m.ConfigApplied] = []
        self.zones: list[m.TimezoneReport] = []
        self.sessions: list[m.RemoteAccessReport] = []
        self.boards: list[Board] = []
        # moods
        self.acknowledges = True
        self.confirms = True
        self.live_interval = 0.0
        self.clock_ahead = timedelta()
        self.tls: ssl.SSLContext | None = None
        self.refuse_with: int | None = None
        self.close_with: int | None = None
        self.on_message: Callable[[FakeLink, Any], None] | None = None
        self.serve_tunnel: Callable[[ServerConnection], Awaitable[None]] | None = None
        self._news = asyncio.Condition()
        self._server: Server | None = None
        self._commands = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def link(self) -> FakeLink:
        """The newest link that said hello."""
        return [link for link in self.links if link.hello is not None][-1]

    async def start(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, subprotocols=SPOKEN, compression=None,
            process_request=self._process_request, max_size=64 * 1024, ping_interval=None, close_timeout=0.5,
            ssl=self.tls,
        )  # fmt: skip
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            for link in self.links:
                link.socket.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.clock_ahead

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait until `condition()` is true, looking after each message and connection."""

        async def wait() -> None:
            async with self._news:
                await self._news.wait_for(lambda: bool(condition()))

        await asyncio.wait_for(wait(), seconds)

    async def connected(self, count: int = 1, seconds: float = PATIENCE_S) -> FakeLink:
        """The link after the `count`-th hello."""
        await self.until(lambda: sum(link.hello is not None for link in self.links) >= count, seconds)
        return self.link

    def command(self, name: str, args: dict[str, Any] | None = None, lasts_s: float = 60.0) -> m.Command:
        """A new command, not yet said."""
        self._commands += 1
        return m.Command(
            id=f"c{self._commands}", name=name, args=args or {}, issued_at=rfc3339(self.now()),
            expires_at=rfc3339(self.now() + timedelta(seconds=lasts_s)),
        )  # fmt: skip

    async def answer(self, command: m.Command, count: int = 1, seconds: float = PATIENCE_S) -> m.CommandUpdate:
        """The `count`-th final update of a command."""
        await self.until(lambda: len(self.updates.get(command.id, [])) >= count, seconds)
        return self.updates[command.id][count - 1]

    async def configure(self, version: int, **values: Any) -> m.ConfigApplied:
        """Push a configuration; what the machine answers."""
        self.configuration = m.Configuration(version=version, values=values)
        await self.link.say(m.Config(version=version, values=values))
        await self.until(lambda: self.applied and self.applied[-1].version == version)
        return self.applied[-1]

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request.path)
        async with self._news:
            self._news.notify_all()
        if request.path != "/ws/device" and (request.path != "/ws/tunnel" or self.serve_tunnel is None):
            return connection.respond(http.HTTPStatus.OK, "{}")
        if self.refuse_with is not None:
            return connection.respond(http.HTTPStatus(self.refuse_with), "no\n")
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        if self.serve_tunnel is not None and socket.request is not None and socket.request.path == "/ws/tunnel":
            with contextlib.suppress(ConnectionClosed):
                await self.serve_tunnel(socket)
            return
        link = FakeLink(socket)
        self.links.append(link)
        with contextlib.suppress(ConnectionClosed):
            if self.close_with is not None:
                await socket.close(self.close_with, "as told")
                return
            async for frame in socket:
                try:
                    message = link.session.receive(frame).message
                except RemoteProtocolError as wrong:
                    await socket.close(int(wrong.close or 4400), wrong.detail)
                    raise
                link.heard.append(message)
                await self._take(link, message)
                async with self._news:
                    self._news.notify_all()

    async def _take(self, link: FakeLink, message: Any) -> None:
        if isinstance(message, m.Hello):
            link.hello = message
            await link.say(
                m.Welcome(
                    session_id="s", time=rfc3339(self.now()), protocol=2, config=self.configuration,
                    live_interval=self.live_interval,
                )
            )  # fmt: skip
        elif isinstance(message, m.Metrics) and message.live:
            self.live += message.samples
        elif isinstance(message, m.Metrics):
            await self._keep(link, message)
        elif isinstance(message, m.CommandUpdate) and message.state in kinds.TERMINAL_UPDATES:
            self.updates.setdefault(message.id, []).append(message)
            if self.confirms:
                await link.say(m.Received(ref=message.id))
        elif isinstance(message, m.StatusReport):
            self.reports.append(message)
            if self.confirms:
                await link.say(m.Received(ref=message.seq))
        elif isinstance(message, m.RemoteAccessReport):
            self.sessions.append(message)
            if self.confirms:
                await link.say(m.Received(ref=f"session-{message.session_id}"))
        elif isinstance(message, m.ConfigApplied):
            self.applied.append(message)
        elif isinstance(message, m.TimezoneReport):
            self.zones.append(message)
        elif isinstance(message, m.BoardReport):
            self.boards.append(message.board)
        elif isinstance(message, m.Bye):
            self.goodbyes.append(message)
        if self.on_message is not None:
            self.on_message(link, message)

    async def _keep(self, link: FakeLink, message: m.Metrics) -> None:
        boot = link.hello.boot_id if link.hello else ""
        first = message.seq - len(message.samples) + 1
        for seq, sample in enumerate(message.samples, start=first):
            self.kept.setdefault((boot, seq), sample)
            self.deliveries[boot, seq] += 1
        if self.acknowledges:
            await link.say(m.MetricsAck(seq=message.seq))


@contextlib.asynccontextmanager
async def fake_hub() -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()
