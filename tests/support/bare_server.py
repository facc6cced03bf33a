"""An application served through the hub's own connection classes and options, without a hub behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator

from starlette.types import ASGIApp

from hub.server.process import listen
from hub.server.server import AcceptingServer, configuration
from hub.settings import Settings


class BareServer(AcceptingServer):
    """Runs in the test's own event loop; `port` is where it listens."""

    def __init__(self, app: ASGIApp, settings: Settings, listener: socket.socket) -> None:
        super().__init__(configuration(settings, app))
        self.state = self.server_state
        self.port: int = listener.getsockname()[1]
        self.accepting = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, settings: Settings | None = None) -> AsyncIterator[BareServer]:
    listener = listen("127.0.0.1", 0)
    server = BareServer(app, settings or Settings(), listener)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.accepting.wait()
        yield server
    finally:
        server.should_exit = True
        await task
        listener.close()
