"""A machine that serves the worst it can to as many requests as a lease may have: other people wait no longer for the
hub, its loop is never blocked, and no page gets much longer than it was.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import statistics
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hub.web.machine_pages.open_pages import REQUESTS_AT_ONCE, SOCKETS_AT_ONCE
from hub.web.machine_pages.rewriting import FREE_GROWTH
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.machine_pages import Asked, machine_server
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator
from tests.support.worst_pages import SIZE, WORST_PAGES

LONGEST_BLOCK_S = 0.1
SLOWER_AT_MOST = 2.0
LEAST_S = 0.004
"""Below this a ratio of latencies measures the scheduler."""
LOOKS = 40
CHUNKS = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n/\r\n" * 100_000
HEADERS = b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 2_700 + b"\r\n"
MESSAGES = b"\x81\x00" * 8192
PAGES = ("a set of roots", "styles", "roots", "steps up")
"""The dearest of all, and those that would grow most."""


async def serve(asked: Asked) -> None:
    """The worst of the kind that the path names."""
    kind = httpx.URL(asked.path).path.strip("/").replace("_", " ")
    if kind == "chunks":
        asked.writer.write(CHUNKS)
        await asked.reader.read()
    elif kind == "headers":
        asked.writer.write(HEADERS)
    elif kind == "messages":
        key = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        head = f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
        asked.writer.write(head.encode())
        while True:
            asked.writer.write(MESSAGES)
            await asked.writer.drain()
    else:
        asked.answer(WORST_PAGES.get(kind, b"\xff" * SIZE), "image/jpeg" if kind == "pictures" else "text/html")


async def read_again_and_again(url: str) -> None:
    async with httpx.AsyncClient(timeout=60) as browser:
        while True:
            async with browser.stream("GET", url) as answer:
                async for _ in answer.aiter_raw():
                    pass


async def read_messages(url: str) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Origin: null\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readline()
        while await reader.read(65536):
            pass
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def under_way(readers: list[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """All of them, for as long as this lasts; none has ended by itself."""
    tasks = [asyncio.ensure_future(reader) for reader in readers]
    try:
        yield
        assert not [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def another_persons_wait_s(client: httpx.AsyncClient) -> float:
    """The median of her requests, in the quieter one of two rounds."""
    medians = []
    for _ in range(2):
        took = []
        for _ in range(LOOKS):
            began = time.perf_counter()
            (await client.get("/api/v2/auth/me")).raise_for_status()
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)  # her next look
        medians.append(statistics.median(took))
    return min(medians)


@contextlib.asynccontextmanager
async def hostile(folder: Path) -> AsyncIterator[tuple[ForkedHub, str, httpx.AsyncClient]]:
    """A hub, the address of an opened page of the machine, and another person."""
    async with machine_server(serve) as server, forked_hub(folder) as hub, AsyncExitStack() as stack:
        key = await hub.add_machine("Lobby")
        operator = RemoteOperator(hub, hub.admin)
        await stack.enter_async_context(remote_machine(folder / "machine", hub.url, key, ports=[server.port]))
        await operator.present(key)
        await operator.lease(key)
        client = await stack.enter_async_context(hub.client())
        opened = await client.post(f"/api/v2/rvms/{key.id}/remote-access/pages", json={"port": server.port})
        yield hub, hub.url + opened.json()["data"]["url"], client


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_nobody_waits_for_a_machines_worst_pages(tmp_path: Path) -> None:
    async with hostile(tmp_path) as (hub, url, client):
        quiet = await another_persons_wait_s(client)
        waits = {}
        for kind in (*PAGES, "pictures", "chunks"):
            address = url + kind.replace(" ", "_")
            async with under_way([read_again_and_again(address) for _ in range(REQUESTS_AT_ONCE)]):
                waits[kind] = await another_persons_wait_s(client)
        async with under_way([read_messages(f"{url}messages") for _ in range(SOCKETS_AT_ONCE)]):
            waits["messages"] = await another_persons_wait_s(client)
        await asyncio.gather(*(client.get(f"{url}headers") for _ in range(REQUESTS_AT_ONCE)))
        shown = ", ".join(f"{kind} {wait / quiet:.1f}" for kind, wait in waits.items())
        print(f"quiet {quiet * 1000:.1f} ms; times as long: {shown}; longest block {hub.longest_block_s:.3f} s")
        assert max(waits.values()) <= max(SLOWER_AT_MOST * quiet, LEAST_S), shown
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        for kind in PAGES:
            page = await client.get(url + kind.replace(" ", "_"), timeout=60)
            assert len(page.content) <= 2 * SIZE + 2 * FREE_GROWTH, kind
