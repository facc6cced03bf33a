"""A network that misbehaves when told: between a client and a server on this computer, byte by byte, without root.

    async with chaos_proxy(hub.port) as network:
        agent -> network.url
        network.stall()        # bytes are taken and go nowhere, both ways: a half-open link
        network.flow()
        network.forget()       # what is open stays half-open for ever; new connections work
        network.uplink_bytes_s = 32_000    # 256 kbit/s from all clients together towards the server

Faults hold for every connection, those made later as well, until `flow`; `reset` and `half_close` happen once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

CHUNK = 16 * 1024
PACKET = 1400
"""What a narrow uplink takes at once, so that connections take turns as they do on a real one."""


class ChaosProxy:
    """`accepted` counts connections since the start."""

    def __init__(self, target: int) -> None:
        self.latency_s = 0.0
        self.uplink_bytes_s = 0.0
        self.accepted = 0
        self._uplink_free_at = 0.0
        self._target = target
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._to_corrupt = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._towards_hub: set[asyncio.StreamWriter] = set()
        self._lives: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)

    def taken(self, connection: int, data: bytes) -> None:
        """A client sent this over its connection, the first of which is 1; for those who count."""

    def stall(self) -> None:
        """From now on nothing arrives, not even the end of a connection; both sides may still send."""
        self._flows.clear()

    def flow(self) -> None:
        """All is well again; what was held back arrives."""
        self._flows.set()

    def forget(self) -> None:
        """What is open now stays silent for ever, both ways, and nobody is told; new connections work."""
        self._forgotten |= self._writers

    def corrupt(self, count: int = 1) -> None:
        """Flip the highest bit of one byte in each of the next `count` chunks towards the server. ASCII text becomes
        invalid UTF-8 by that, never other text."""
        self._to_corrupt = count

    def half_close(self) -> None:
        """Say the end of the client's stream to the server, once, while the other direction stays open."""
        for writer in self._towards_hub:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()

    def reset(self) -> None:
        """Break every connection with a TCP reset, once."""
        for writer in list(self._writers):
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        life = asyncio.ensure_future(self._live(self.accepted, reader, writer))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    async def _live(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, hub_writer}
        self._writers |= both
        self._towards_hub.add(hub_writer)
        try:
            up = asyncio.ensure_future(self._pump(reader, hub_writer, number))
            down = asyncio.ensure_future(self._pump(hub_reader, writer))
            try:
                await asyncio.wait([up, down], return_when=asyncio.ALL_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
        finally:
            self._writers -= both
            self._forgotten -= both
            self._towards_hub.discard(hub_writer)
            for one in both:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, towards_hub: int = 0) -> None:
        """`towards_hub`: the connection's number; 0: to the client."""
        try:
            while data := await reader.read(PACKET if towards_hub and self.uplink_bytes_s else CHUNK):
                if towards_hub:
                    self.taken(towards_hub, data)
                if towards_hub and self.uplink_bytes_s:
                    await self._pass_uplink(len(data))
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await self._flows.wait()
                if writer in self._forgotten:
                    continue
                writer.write(self._damaged(data) if towards_hub and self._to_corrupt else data)
                await writer.drain()
            await self._flows.wait()
            if writer not in self._forgotten:
                writer.write_eof()
        except (OSError, RuntimeError):
            # Broken on one side: broken on the other, as soon as the network lets anybody know.
            await self._flows.wait()
            writer.transport.abort()

    async def _pass_uplink(self, count: int) -> None:
        """All clients share it: what comes now goes after what was let in before."""
        now = asyncio.get_running_loop().time()
        self._uplink_free_at = max(now, self._uplink_free_at) + count / self.uplink_bytes_s
        await asyncio.sleep(self._uplink_free_at - now)

    def _damaged(self, data: bytes) -> bytes:
        self._to_corrupt -= 1
        place = len(data) // 2
        return data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :]


@contextlib.asynccontextmanager
async def chaos_proxy(target: int) -> AsyncIterator[ChaosProxy]:
    """In front of the port `target` of this computer."""
    proxy = ChaosProxy(target)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
