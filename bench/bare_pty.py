"""A terminal the shortest way: a WebSocket, a pseudo-terminal with a program in it, and bytes between them.

No lease, no tunnel, no recording, nobody asked whether they may; the browser talks to the machine itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.bare_wire import Receive

CHUNK = 16 * 1024
ECHO = ["/bin/sh", "-c", "stty raw -echo; printf R; exec cat"]
"""Says R when it is ready; from then on every byte comes back once, by a program and not by the kernel, as from a shell
that edits its line."""


class Pty(Receive):
    """A terminal for each socket, ECHO in it."""

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/ws/terminal", self.terminal)]

    async def terminal(self, socket: WebSocket) -> None:
        await socket.accept()
        child, master = pty.fork()
        if child == 0:
            os.execvp(ECHO[0], ECHO)  # noqa: S606 - the program of the benchmark
        os.set_blocking(master, False)
        output: asyncio.Queue[bytes] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        loop.add_reader(master, lambda: output.put_nowait(_read(master)))
        try:
            await asyncio.wait(
                [asyncio.ensure_future(_up(socket, output)), asyncio.ensure_future(_down(socket, master))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            loop.remove_reader(master)
            os.close(master)
            await asyncio.to_thread(os.waitpid, child, 0)


def _read(master: int) -> bytes:
    with contextlib.suppress(OSError):
        return os.read(master, CHUNK)
    return b""


async def _up(socket: WebSocket, output: asyncio.Queue[bytes]) -> None:
    while data := await output.get():
        await socket.send_bytes(data)


async def _down(socket: WebSocket, master: int) -> None:
    with contextlib.suppress(WebSocketDisconnect, KeyError):
        while True:
            os.write(master, await socket.receive_bytes())
