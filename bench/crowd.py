"""Many links from one process: opened a few hundred at a time, from several loopback addresses, kept in one list."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Callable
from typing import Final

import msgspec

from bench.link import Link

PER_SOURCE: Final = 5_000
"""Connections from one loopback address: well below the ports one address has."""
AT_ONCE: Final = 200


class Target(msgspec.Struct, frozen=True):
    """Who is spoken to, and as whom: parallel lists of device ids and keys."""

    host: str
    port: int
    devices: list[str]
    keys: list[str]
    path: str = "/ws/device"
    boot: str = "boot-1"


class RefusedError(Exception):
    """The server did not take a link; the text is what it said."""


class Crowd:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.links: list[Link] = []
        self.handshakes: list[float] = []
        raise_open_files()

    async def open(self, dress: Callable[[Link, int], None] | None = None, seconds: float = 60.0) -> float:
        """Open every link and wait until each is live; returns the seconds it took."""
        began = time.perf_counter()
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with gate:
                self.links.append(await self.connect(number, dress))

        await asyncio.wait_for(asyncio.gather(*(one(k) for k in range(len(self.target.devices)))), seconds)
        return time.perf_counter() - began

    async def connect(self, number: int, dress: Callable[[Link, int], None] | None = None) -> Link:
        """One link, live. Raises RefusedError or OSError."""
        target = self.target
        live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link = Link(
            f"{target.host}:{target.port}", target.path, target.devices[number], target.keys[number], target.boot
        )

        def is_live(_: Link) -> None:
            if not live.done():
                live.set_result(None)

        def is_lost(lost: Link) -> None:
            if not live.done():
                live.set_exception(RefusedError(lost.refused or "the connection was closed"))

        link.on_live, link.on_lost = is_live, is_lost
        if dress is not None:
            dress(link, number)
        began = time.perf_counter()
        source = (f"127.0.0.{2 + number // PER_SOURCE}", 0) if target.host.startswith("127.") else None
        await asyncio.get_running_loop().create_connection(lambda: link, target.host, target.port, local_addr=source)
        await live
        self.handshakes.append(time.perf_counter() - began)
        return link

    def close(self) -> None:
        for link in self.links:
            link.on_lost = lambda _: None
            link.transport.abort()


def raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
