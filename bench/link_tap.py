"""Listens to a real agent from outside: how long each acknowledgement of its metrics takes, and how often it connects.

It stands between the agent and the hub as a plain TCP proxy and reads along on connections to /ws/device; every other
byte (the tunnel's) it only passes on. What is timed is from the moment the agent's frame came by to the moment its
`metrics_ack` did, so what the hub's side of the link costs; what the agent itself holds back is in `gaps_s`, the time
between two of its frames.

    async with link_tap(hub.port) as tap:       # the agent's `myrvm_base_url` is tap.url
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from bench import frames

CHUNK: Final = 64 * 1024
_MASKED: Final = 0x80


class LinkTap:
    """`acks_s` are the times so far, in order; clear the lists to begin anew."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, float] = {}
        self._last = 0.0
        self.acks_s: list[float] = []
        self.gaps_s: list[float] = []
        self.links = self.tunnels = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)

    @property
    def port(self) -> int:
        return 0 if self._server is None else int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def begin(self) -> None:
        """Forget what was timed so far."""
        self.acks_s.clear()
        self.gaps_s.clear()
        self._last = 0.0

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            is_link = head.startswith(b"GET /ws/device ")
            self.links += is_link
            self.tunnels += head.startswith(b"GET /ws/tunnel ")
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._target)
            hub_writer.write(head)
            up = _Reading(self._sent) if is_link else None
            down = _Reading(self._heard) if is_link else None
            try:
                await asyncio.gather(_pump(reader, hub_writer, up), _pump(hub_reader, writer, down))
            finally:
                hub_writer.transport.abort()
                writer.transport.abort()

    def _sent(self, message: dict[str, Any], now: float) -> None:
        if message.get("type") == "metrics" and not message.get("live"):
            self._waiting.setdefault(int(message["seq"]), now)
            if self._last:
                self.gaps_s.append(now - self._last)
            self._last = now

    def _heard(self, message: dict[str, Any], now: float) -> None:
        if message.get("type") == "metrics_ack":
            for seq in [seq for seq in self._waiting if seq <= message["seq"]]:
                self.acks_s.append(now - self._waiting.pop(seq))


@contextlib.asynccontextmanager
async def link_tap(target: int) -> AsyncIterator[LinkTap]:
    """In front of the port `target` of this computer."""
    tap = LinkTap(target)
    await tap.open()
    try:
        yield tap
    finally:
        await tap.close()


class _Reading:
    """The messages of one direction of a link, as its bytes come by; the upgrade's answer is stepped over."""

    def __init__(self, tell: Callable[[dict[str, Any], float], None]) -> None:
        self._tell, self._buffer = tell, b""

    def feed(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if self._buffer.startswith(b"HTTP/"):
            _, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._buffer = rest
        while (found := _take(self._buffer)) is not None:
            first, payload, self._buffer = found
            if first & 0x0F == frames.TEXT:
                with contextlib.suppress(ValueError):
                    self._tell(json.loads(payload), now)


def _take(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first frame, unmasked, and what comes after it; None when it is not all there."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        size, at = int.from_bytes(data[at : at + wide], "big"), at + wide
    mask = b""
    if data[1] & _MASKED:
        mask, at = data[at : at + 4], at + 4
    if len(data) < at + size:
        return None
    payload = data[at : at + size]
    if mask:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return data[0], payload, data[at + size :]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reading: _Reading | None) -> None:
    while data := await reader.read(CHUNK):
        if reading is not None:
            reading.feed(data)
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
