"""How long a key takes to come back on the screen: through the hub and a lease's tunnel, beside a bare WebSocket PTY.

    python -m bench.terminal [--keys 500] [--pause 5]

hub    browser's socket -> hub (checked, recorded) -> tunnel -> agent -> pseudo-terminal, and all the way back
bare   browser's socket -> pseudo-terminal, and back: a dozen lines of Starlette on the machine itself

One key at a time, as a person types, with a pause between two. Behind both is the same program, which gives every byte
back by itself. The hub and the bare server run on one core; the agent and the keys on the other.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import websockets

from bench import meter, report, scene
from bench.hub import Hub
from bench.leased_agent import leased_agent
from bench.processes import Server

GOAL = "p50 <= 2"
WARM_UP = 20
WITHIN_S = 20.0
Times = dict[str, list[list[float]]]


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("terminal", __doc__, machines=1)
    parser.add_argument("--keys", type=int, default=500)
    parser.add_argument("--pause", type=float, default=5.0, help="milliseconds between a key's echo and the next key")
    parser.add_argument("--only", default="bare,hub")
    options = parser.parse_args(argv)
    found: Times = {}
    with scene.Scene(options.database) as stage:
        server = stage.bare("pty") if "bare" in options.only else None
        running = stage.hub(options.machines) if "hub" in options.only else None
        asyncio.run(_in_turns(found, server, running, stage.folder, options))
    report.heading(f"terminal: a key and its echo, {options.keys} each, {options.pause:g} ms apart, {options.database}")
    for name, runs in found.items():
        report.row(f"{name}: p50", [_ms(run, 50) for run in runs], "ms", 2)
        report.row(f"{name}: p99", [_ms(run, 99) for run in runs], "ms", 2)
    if len(found) == 2:
        for percent, goal in ((50, GOAL), (99, "none")):
            ours, bare = ([_ms(run, percent) for run in found[name]] for name in ("hub", "bare"))
            report.ratio(f"hub / bare: p{percent}", ours, bare, goal)
    return 0


async def _in_turns(found: Times, server: Server | None, running: Hub | None, folder: Path, options: Any) -> None:
    pause = options.pause / 1000
    async with _Sides(server, running, folder) as sides:
        for _ in range(options.repeat):
            for name, socket in sides.items():
                found.setdefault(name, []).append(await _type(socket, options.keys, pause))


class _Sides(dict[str, Any]):
    """A socket each with the echoing program behind it, open for the whole run."""

    def __init__(self, server: Server | None, running: Hub | None, folder: Path) -> None:
        super().__init__()
        self._server, self._running, self._folder = server, running, folder

    async def __aenter__(self) -> _Sides:  # noqa: PYI034 - typing.Self is not in Python 3.10
        self._stack = AsyncExitStack()
        if self._server is not None:
            url = f"ws://127.0.0.1:{self._server.port}/ws/terminal"
            socket = await self._stack.enter_async_context(websockets.connect(url, compression=None, proxy=None))
            await _ready(socket)
            self["bare"] = socket
        if self._running is not None:
            self["hub"] = await self._through_the_hub(self._running)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _through_the_hub(self, running: Hub) -> Any:
        lease = await self._stack.enter_async_context(leased_agent(running, self._folder))
        socket = await self._stack.enter_async_context(
            websockets.connect(
                lease.url.replace("http", "ws", 1) + "/ws/terminal", additional_headers={"Cookie": lease.cookie},
                origin=websockets.Origin(lease.url), compression=None, proxy=None,
            )
        )  # fmt: skip
        await socket.send(json.dumps({"type": "open", "session": lease.session, "cols": 80, "rows": 24}))
        await _ready(socket)
        return socket


async def _ready(socket: Any) -> None:
    """The program has said so; what the hub says beside it is not asked for."""
    while True:
        said = await asyncio.wait_for(socket.recv(), WITHIN_S)
        if isinstance(said, bytes) and b"R" in said:
            return
        if isinstance(said, str) and '"error"' in said:
            raise RuntimeError(said)


async def _type(socket: Any, keys: int, pause: float) -> list[float]:
    """Seconds each key took, without the first few."""
    took: list[float] = []
    for number in range(keys + WARM_UP):
        key = bytes([97 + number % 26])
        began = time.perf_counter()
        await socket.send(key)
        while isinstance(echo := await asyncio.wait_for(socket.recv(), WITHIN_S), str):
            pass
        if echo != key:
            raise ValueError(f"{echo!r} came back for {key!r}")
        took.append(time.perf_counter() - began)
        await asyncio.sleep(pause)
    return took[WARM_UP:]


def _ms(values: list[float], percent: float) -> float:
    return 1000 * meter.percentile(values, percent)


if __name__ == "__main__":
    sys.exit(main())
