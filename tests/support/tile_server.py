"""A real server of map tiles on this computer, which notes who asks for what: it answers, misses, or keeps waiting."""

from __future__ import annotations

import asyncio
import re
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

SIDE = 256
_ASKED = re.compile(r"GET /street/(\d+)/(\d+)/(\d+)\.png HTTP/1\.1\r\n(.*)", re.DOTALL)


class AskedTile(NamedTuple):
    """`headers`: names in small letters."""

    zoom: int
    x: int
    y: int
    headers: dict[str, str]


@dataclass
class TileServer:
    """`does`: answers every tile, none, or leaves each request open. `strange`: requests for anything else."""

    port: int = 0
    does: Literal["answer", "miss", "wait"] = "answer"
    asked: list[AskedTile] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "map_tiles_url": f"{self.origin}/street/{{z}}/{{x}}/{{y}}.png",
            "map_tiles_attribution": "© [Street <makers>](https://makers.example/copyright)",
        }

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(await self._tile(head.decode("latin-1")))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _tile(self, head: str) -> bytes:
        found = _ASKED.fullmatch(head)
        if found is None:
            self.strange.append(head)
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        pairs = [line.partition(":") for line in found.group(4).split("\r\n") if line]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        zoom, x, y = (int(number) for number in found.groups()[:3])
        self.asked.append(AskedTile(zoom, x, y, headers))
        if self.does == "wait":
            await asyncio.Event().wait()
        if self.does == "miss":
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        body = picture(x + y)
        kind = f"Content-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n{kind}".encode() + body


@asynccontextmanager
async def tile_server() -> AsyncIterator[TileServer]:
    made = TileServer()
    server = await asyncio.start_server(made._answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def picture(number: int) -> bytes:
    """A PNG of two greens like a chess board, by the number, with a darker edge."""
    ground = ((203, 226, 190), (222, 238, 205))[number % 2]
    edge = bytes((120, 150, 110)) * SIDE
    rows = [edge if row in (0, SIDE - 1) else bytes(ground) * SIDE for row in range(SIDE)]
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b""),
    )  # fmt: skip
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
