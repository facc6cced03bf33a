"""Serves streams of kind `port`: one TCP connection to 127.0.0.1, for ports that both the configuration and the
session name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final

from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, within
from device.remote.session.streams import DeviceStream, OpenSession, StreamGoneError

LOOPBACK: Final = "127.0.0.1"
CONNECT_S: Final = 5.0
CHUNK: Final = 16 * 1024
MAX_CONNECTIONS: Final = 64
"""In all sessions together."""


class NotRunningError(Exception):
    """The sentence says why."""


async def nothing_to_start(_port: int) -> None:
    """Its service runs always or never."""


class PortServer:
    """`declared`: the setting `remote_access_ports`. `ready(port)` starts a service on demand; raises
    NotRunningError."""

    def __init__(
        self, declared: Collection[int], log: Log, ready: Callable[[int], Awaitable[None]] = nothing_to_start
    ) -> None:
        self._declared = frozenset(declared)
        self._log = log
        self._ready = ready
        self._open = 0

    async def serve(self, stream: DeviceStream, session: OpenSession) -> None:
        port = stream.args.get("port")
        if "ports" not in session.allow:
            stream.refuse("not_allowed", "this session was not opened for ports")
        elif not isinstance(port, int) or isinstance(port, bool) or not self._is_declared(port, session):
            stream.refuse("not_declared", "only ports that the machine's remote_access_ports and the session name")
        elif self._open >= MAX_CONNECTIONS:
            stream.refuse("too_many", f"there are {MAX_CONNECTIONS} connections already")
        else:
            self._open += 1
            try:
                await self._serve(stream, session, port)
            finally:
                self._open -= 1

    def _is_declared(self, port: int, session: OpenSession) -> bool:
        return port in self._declared and port in session.ports

    async def _serve(self, stream: DeviceStream, session: OpenSession, port: int) -> None:
        try:
            await self._ready(port)
            reader, writer = await connect(port)
        except (NotRunningError, OSError, TimeoutError, asyncio.TimeoutError) as error:
            self._log("port_failed", session=session.id, port=port, error=str(error) or "no answer in time")
            stream.refuse("not_running", str(error) or f"port {port} did not answer in time")
            return
        try:
            if not self._is_declared(writer.get_extra_info("peername")[1], session):
                stream.refuse("not_declared", "the connection led elsewhere")
                return
            stream.accept({"port": port})
            await _both_ways(stream, reader, writer)
        finally:
            writer.transport.abort()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises OSError, TimeoutError or NotRunningError."""
    reader, writer = await within(CONNECT_S, asyncio.open_connection(LOOPBACK, port, limit=CHUNK))
    peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    # A port of the kernel's own range that nobody listens on can be connected to itself.
    if peer is None or peer[:2] != (LOOPBACK, port) or peer == own:
        writer.transport.abort()
        raise NotRunningError(f"nothing listens on port {port}")
    return reader, writer


async def _both_ways(stream: DeviceStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each direction ends by itself."""
    try:
        inward, outward = asyncio.Event(), asyncio.Event()
        await until_one_ends(
            _until_both(_inward(stream, writer), inward, outward),
            _until_both(_outward(stream, reader), outward, inward),
        )
    except StreamGoneError:
        return
    except OSError:
        stream.reset("not_running", "the service broke the connection off")


async def _until_both(direction: Coroutine[Any, Any, None], ended: asyncio.Event, other: asyncio.Event) -> None:
    await direction
    ended.set()
    await other.wait()


async def _inward(stream: DeviceStream, writer: asyncio.StreamWriter) -> None:
    while data := await stream.receive():
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):  # it has gone already, which the other direction reports
        writer.write_eof()


async def _outward(stream: DeviceStream, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(CHUNK):
        await stream.send(data)
    await stream.finish()
