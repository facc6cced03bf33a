"""Accepting connections, with TLS or without: uvicorn's server, but a connection counts from the moment it is there.

asyncio's own server hands a connection over when its TLS handshake is done, and gives that a minute. Here the handshake
is part of the time and the number that a connection without a request may have. Knows no request.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import Final

import anyio
import uvicorn
from anyio.abc import TaskGroup

from hub.server.http_protocol import HttpProtocol, HubServerState
from hub.server.pending_connections import PLAIN, TLS, PendingConnection
from hub.web.auth.limits import network_of
from protocol.addresses import is_within

logger = logging.getLogger("myrvm.server")

AT_A_TURN: Final = 16
"""Connections accepted before those that are there get their turn of the loop."""
HANDSHAKE_S: Final = 6.0
"""From accept on. In a flood a connection waits up to two seconds to be accepted, and none shall be there after 8 s."""
RETRY_S: Final = 1.0
_FULL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class AcceptingServer(uvicorn.Server):
    """Serves the listening sockets it is given; accepts until `should_exit`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state: HubServerState = HubServerState(TLS if config.is_ssl else PLAIN)
        # Bound: those of the start, one.
        self._listeners: list[socket.socket] = []

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
        """Hand the connection to its protocol, after the handshake if there is one."""
        loop = asyncio.get_running_loop()
        protocol = HttpProtocol(pending, self.config, self.server_state, self.lifespan.state, loop)
        is_open = False
        try:
            with scope:
                await loop.connect_accepted_socket(
                    lambda: protocol,
                    accepted,
                    ssl=self.config.ssl,
                    ssl_handshake_timeout=HANDSHAKE_S if self.config.ssl else None,
                )
                is_open = True
        except OSError:
            """The peer left, speaks no TLS, or was too slow with it."""
        finally:
            if not is_open:
                pending.leave()
                accepted.close()
