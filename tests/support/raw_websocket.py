"""A WebSocket client that may do everything wrong: frames made by hand over a plain socket."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from typing import Any, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_KEY = base64.b64encode(b"0123456789abcdef").decode()


class Frame(NamedTuple):
    opcode: int
    data: bytes

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE, self
        return int(struct.unpack("!H", self.data[:2])[0])


def frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """One masked frame."""
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(data))
    return head + b"\0\0\0\0" + data  # a mask of zeros leaves the data as it is


def upgrade(
    path: str = "/", *, method: str = "GET", host: str = "localhost", headers: list[tuple[str, str]] | None = None
) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}", "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers or []),
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class RawWebSocket:
    """`await RawWebSocket.open(port, "/ws")`: upgraded, then silent until told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls, port: int, path: str = "/", *, headers: list[tuple[str, str]] | None = None, expect: bytes = b" 101 "
    ) -> RawWebSocket:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(upgrade(path, host=f"127.0.0.1:{port}", headers=headers))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert expect in answer.splitlines()[0], answer
        return cls(reader, writer)

    async def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def receive(self) -> Frame:
        """The next frame of the server."""
        head = await self.reader.readexactly(2)
        size = head[1] & 0x7F
        if size == 126:
            size = struct.unpack("!H", await self.reader.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", await self.reader.readexactly(8))[0]
        return Frame(head[0] & 0x0F, await self.reader.readexactly(size))

    async def until_close(self) -> int:
        """Read on to the server's close frame; its code."""
        while True:
            found = await self.receive()
            if found.opcode == CLOSE:
                return found.close_code

    async def until_eof(self) -> None:
        while await self.reader.read(65536):
            pass

    def drop(self) -> None:
        self.writer.transport.abort()


def stop_reading(writer: asyncio.StreamWriter) -> None:
    """Leave in the kernel what the other side sends from now on, as a frozen peer does."""
    transport: Any = writer.transport
    transport.pause_reading()


def memory_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
