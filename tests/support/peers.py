"""Machines and a page in a process of their own, to be frozen: `python -m tests.support.peers '{"url", "keys", ...}'`.

Says one line when all are connected, then answers pings and reads until it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import websockets

from tests.support.hub_people import MachineKey, Person
from tests.support.machine_client import MachineClient
from tests.support.until import PATIENCE_S

ROOT = Path(__file__).parents[2]


async def _connect(given: dict[str, Any]) -> None:
    async with contextlib.AsyncExitStack() as open_sockets:
        sockets: list[Any] = []
        for key in given["keys"]:
            machine = await open_sockets.enter_async_context(
                MachineClient.connect(given["url"], MachineKey(*key), ping_interval=None)
            )
            await machine.say_hello()
            sockets.append(machine.socket)
        for token in given["tokens"]:
            headers = {"Authorization": f"Bearer {token}"}
            page = await open_sockets.enter_async_context(
                websockets.connect(
                    given["url"] + "/ws/dashboard", additional_headers=headers, max_size=None, ping_interval=None,
                    proxy=None,
                )
            )  # fmt: skip
            await page.recv()
            sockets.append(page)
        print("connected", flush=True)
        await asyncio.gather(*(_read(socket) for socket in sockets))


async def _read(socket: Any) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await socket.recv()


@contextlib.asynccontextmanager
async def peers(
    websocket_url: str, keys: list[MachineKey], pages: list[Person] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with these machines and pages connected. Killed at the end."""
    given = {"url": websocket_url, "keys": [list(key) for key in keys], "tokens": [p.token for p in pages or []]}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.peers", json.dumps(given), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S) == b"connected\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(_connect(json.loads(sys.argv[1])))
