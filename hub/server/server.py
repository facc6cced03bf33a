"""uvicorn's server with our options, accepting and end.

The end: accept nobody, goodbye to all, let what is under way finish, cut the rest; each step with a limit (bar:
SIGTERM to exit in 30 s with five frozen peers)."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import uvicorn
from anyio.abc import TaskGroup
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from hub.server.http_protocol import (
    MAX_HEADER_BYTES,
    PLAIN,
    TLS,
    HttpProtocol,
    HubConfig,
    HubServerState,
    PendingConnection,
)
from hub.server.process import BACKLOG
from hub.server.tls import HubTls
from hub.server.websocket_protocol import WebSocketProtocol
from hub.settings import Settings
from hub.web.auth.identify import clearing_own_cookies
from hub.web.auth.limits import network_of
from protocol import limits
from protocol.addresses import is_within

PONG_TIMEOUT_S: Final = limits.PING_TIMEOUT_S - 2.0
"""A frozen peer is gone within 30 s of its last sign of life."""
KEEP_ALIVE_S: Final = 15


def configuration(settings: Settings, app: ASGIApp) -> HubConfig:
    """No lifespan (the owner runs it), no log of requests, no compression but that of browsers' feeds
    (WebSocketProtocol), which keeps nothing a connection: uvicorn's takes 60 kB."""
    made = HubConfig(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who is behind a proxy is decided in hub.web.auth.origin, which knows IPv4-mapped addresses.
        proxy_headers=False,
        forwarded_allow_ips=list(settings.behind_proxy),
        backlog=BACKLOG,
        ws_max_size=limits.MAX_MESSAGE_BYTES,
        ws_ping_interval=limits.PING_INTERVAL_S,
        ws_ping_timeout=PONG_TIMEOUT_S,
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    if settings.base_path:
        made.own_cookies = clearing_own_cookies(settings)
        made.pages_name = (urlsplit(settings.pages_url or "").hostname or "").encode()
    return made


logger = logging.getLogger("myrvm.server")

FINISH_S: Final = 6.0
CLOSE_S: Final = 6.0
CANCEL_S: Final = 3.0
SPREAD_S: Final = 5.0
"""Machines come back over so long (many: longer, see Links.send_restarting)."""
SLICE: Final = 50

Connections = set[Any]


async def drain(state: ServerState, send_goodbye: Callable[[], None]) -> None:
    send_goodbye()
    for connection in [c for c in state.connections if isinstance(c, H11Protocol)]:
        connection.shutdown()
    await _until_gone(state.connections, FINISH_S)
    if state.connections:
        await _in_slices(state.connections, "shutdown")
        await _until_gone(state.connections, CLOSE_S)
    if state.connections:
        logger.warning("%d connections did not end and were cut", len(state.connections))
        await _in_slices(state.connections, "abort")
    await _end_tasks(state.tasks)


async def _until_gone(connections: Connections, limit: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + limit
    while connections and loop.time() < ends:  # noqa: ASYNC110 - uvicorn has no event for its empty set
        await asyncio.sleep(0.02)


async def _in_slices(connections: Connections, step: str) -> None:
    for number, connection in enumerate(list(connections)):
        if step == "abort":
            connection.transport.abort()
        else:
            connection.shutdown()
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)


async def _end_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """A handler that does not end is cancelled, then left."""
    left = set(tasks)
    if left:
        _, left = await asyncio.wait(left, timeout=CANCEL_S)
    for task in left:
        task.cancel("the hub ends")
    if left:
        logger.warning("%d handlers were cancelled", len(left))
        await asyncio.wait(left, timeout=CANCEL_S)


AT_A_TURN: Final = 16
HANDSHAKE_S: Final = 6.0
"""In a flood a connection waits up to 2 s to be accepted; none may be pending after 8 s."""
RETRY_S: Final = 1.0
_FULL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class AcceptingServer(uvicorn.Server):
    config: HubConfig

    def __init__(self, config: HubConfig) -> None:
        super().__init__(config)
        self.server_state: HubServerState = HubServerState(TLS if config.is_ssl else PLAIN)
        self._listeners: list[socket.socket] = []  # Bound: those of the start, one
        self.tls: HubTls | None = None
        """In place of what the configuration loaded once."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self._listeners = sockets or []
        self.started = True

    async def main_loop(self) -> None:
        async with anyio.create_task_group() as tasks:
            for listener in self._listeners:
                tasks.start_soon(self._accept, listener, tasks)
            await super().main_loop()
            tasks.cancel_scope.cancel()

    async def _accept(self, listener: socket.socket, tasks: TaskGroup) -> None:
        loop, number = asyncio.get_running_loop(), 0
        while listener.fileno() != -1:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _FULL:
                    logger.warning("no connection can be accepted: %s", error)
                    await anyio.sleep(RETRY_S)
                continue
            scope = anyio.CancelScope()
            pending = self.server_state.pending.enter(self._network(address), loop.time(), scope.cancel)
            tasks.start_soon(self._open, accepted, pending, scope)
            number += 1
            if number % AT_A_TURN == 0:
                await asyncio.sleep(0)

    def _network(self, address: object) -> str:
        host = str(address[0]) if isinstance(address, tuple) else ""
        return "" if is_within(host, self.config.forwarded_allow_ips or ()) else network_of(host)

    async def _open(self, accepted: socket.socket, pending: PendingConnection, scope: anyio.CancelScope) -> None:
        loop = asyncio.get_running_loop()
        protocol = HttpProtocol(pending, self.config, self.server_state, self.lifespan.state, loop)
        is_open = False
        context = self.config.ssl if self.tls is None else self.tls.context
        try:
            with scope:
                await loop.connect_accepted_socket(
                    lambda: protocol,
                    accepted,
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_S if context else None,
                )
                is_open = True
        except OSError:
            ...
        finally:
            if not is_open:
                pending.leave()
                accepted.close()
