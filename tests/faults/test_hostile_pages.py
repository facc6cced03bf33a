"""A machine that serves the worst it can to as many requests as a lease may have: other people wait no longer for the
hub, its loop is never blocked, and no page gets much longer than it was.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hub.remote.machine_pages.open_pages import REQUESTS_AT_ONCE, SOCKETS_AT_ONCE
from hub.remote.machine_pages.rewriting import FREE_GROWTH
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.machine_pages import Asked, machine_server
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator
from tests.support.until import PATIENCE_S
from tests.support.worst_pages import SIZE, WORST_PAGES

LONGEST_BLOCK_S = 0.1
SLOWER_AT_MOST = 2.0
LOOKS = 20
ROUNDS = 3
ROOT = Path(__file__).parents[2]
TOLD: list[bool] = []
CHUNKS = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n/\r\n" * 100_000
HEADERS = b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 2_700 + b"\r\n"
LINES = "".join(f"X-{number}: {number:090}\r\n" for number in range(100))
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
    elif kind == "nothing":  # of a request alone
        asked.answer(b"ok", "text/plain", more=LINES)
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
    async with httpx.AsyncClient(timeout=60, trust_env=False) as browser:
        while True:
            async with browser.stream("GET", url) as answer:
                async for _ in answer.aiter_raw():
                    under_way()


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
            under_way()
    finally:
        writer.close()


def under_way() -> None:
    """Tell it once, on standard output."""
    if not TOLD:
        TOLD.append(True)
        print("under way", flush=True)


async def play(part: str, *rest: str) -> None:
    """What this file does as a process of its own: nobody's wait has the cost of those who attack."""
    if part == "server":
        async with machine_server(serve) as server:
            print(server.port, flush=True)
            await asyncio.Event().wait()
    url = rest[0]
    read, many = (read_messages, SOCKETS_AT_ONCE) if part == "messages" else (read_again_and_again, REQUESTS_AT_ONCE)
    await asyncio.gather(*(read(url + part.replace(" ", "_")) for _ in range(many)))


@contextlib.asynccontextmanager
async def player(*part: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process, and its first line."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.test_hostile_pages", *part, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert made.stdout is not None
        yield made, (await asyncio.wait_for(made.stdout.readline(), PATIENCE_S)).decode().strip()
        assert made.returncode is None, "it plays until the end"
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.kill()
        await made.wait()


async def waits_ms(hub: ForkedHub, client: httpx.AsyncClient) -> list[float]:
    """What the hub does while another person waits for it, in milliseconds of a processor: her own request, and
    whatever comes before it. How busy the computer is with others is not in it."""
    clock, found = (~hub.pid << 3) | 2, []  # CPUCLOCK_SCHED of that process
    for _ in range(LOOKS):
        began = time.clock_gettime(clock)
        (await client.get("/api/v2/auth/me")).raise_for_status()
        found.append(1000 * (time.clock_gettime(clock) - began))
        await asyncio.sleep(0.005)  # her next look
    return found


async def quiet_and_not(hub: ForkedHub, client: httpx.AsyncClient, url: str, kind: str) -> tuple[float, float]:
    """Medians of her waits without the attack and with it, by turns, so that both have the same weather."""
    quiet, waits = [], []
    async with player(kind, url) as (readers, told):
        assert told == "under way"
        for _ in range(ROUNDS):
            waits += await waits_ms(hub, client)
            readers.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.2)  # what was on its way
            quiet += await waits_ms(hub, client)
            readers.send_signal(signal.SIGCONT)
    return statistics.median(quiet), statistics.median(waits)


@contextlib.asynccontextmanager
async def hostile(folder: Path) -> AsyncIterator[tuple[ForkedHub, str, httpx.AsyncClient]]:
    """A hub, the address of an opened page of the machine, and another person."""
    async with player("server") as (_, port), forked_hub(folder) as hub, AsyncExitStack() as stack:
        key = await hub.add_machine("Lobby")
        operator = RemoteOperator(hub, hub.admin)
        await stack.enter_async_context(remote_machine(folder / "machine", hub.url, key, ports=[int(port)]))
        await operator.present(key)
        await operator.lease(key)
        client = await stack.enter_async_context(hub.client())
        opened = await client.post(f"/api/v2/rvms/{key.id}/remote-access/pages", json={"port": int(port)})
        yield hub, hub.url + opened.json()["data"]["url"], client


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_nobody_waits_for_a_machines_worst_pages(tmp_path: Path) -> None:
    async with hostile(tmp_path) as (hub, url, client):
        for kind in (*PAGES, "pictures", "chunks", "headers", "nothing", "messages"):
            quiet, waits = await quiet_and_not(hub, client, url, kind)
            print(
                f"{kind}: {quiet:.2f} ms, {waits / quiet:.2f} times as long; longest block {hub.longest_block_s:.3f} s"
            )
            assert waits <= SLOWER_AT_MOST * quiet, kind
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        for kind in PAGES:
            page = await client.get(url + kind.replace(" ", "_"), timeout=60)
            assert len(page.content) <= 2 * SIZE + 2 * FREE_GROWTH, kind


if __name__ == "__main__":
    asyncio.run(play(*sys.argv[1:]))
