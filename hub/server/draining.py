"""The end of a hub's life, in order: nobody new, goodbye to all, what is under way finishes, the rest is cut.

Every step has a limit, so that frozen peers cannot hold the process (bar: SIGTERM to exit in 30 s with five of them).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

logger = logging.getLogger("myrvm.server")

FINISH_S: Final = 6.0
"""For requests to be answered and for sockets to say and hear their goodbyes."""
CLOSE_S: Final = 6.0
"""For the closing handshakes of sockets that did not end by themselves."""
CANCEL_S: Final = 3.0
SPREAD_S: Final = 5.0
"""Machines are asked to come back over so long (many of them: longer, see Links.say_restarting)."""
SLICE: Final = 50
"""Connections ended before others get the event loop again."""

Connections = set[Any]


async def drain(state: ServerState, say_goodbye: Callable[[], None]) -> None:
    """End every connection of a server that no longer accepts any. `say_goodbye` tells machines and browsers."""
    say_goodbye()
    for connection in [c for c in state.connections if isinstance(c, H11Protocol)]:
        connection.shutdown()
    await _until_gone(state.connections, FINISH_S)
    if state.connections:
        await _in_slices(state.connections, "shutdown")
        await _until_gone(state.connections, CLOSE_S)
    if state.connections:
        logger.warning("%d connections did not end and were cut", len(state.connections))
        await _in_slices(state.connections, "abort")
    await _end_tasks(state.tasks)


async def _until_gone(connections: Connections, limit: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + limit
    while connections and loop.time() < ends:  # noqa: ASYNC110 - uvicorn tells nobody when its set is empty
        await asyncio.sleep(0.02)


async def _in_slices(connections: Connections, step: str) -> None:
    for number, connection in enumerate(list(connections)):
        if step == "abort":
            connection.transport.abort()
        else:
            connection.shutdown()
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)


async def _end_tasks(tasks: set[asyncio.Task[None]]) -> None:
    """The connections are gone: their handlers see it at once. Who does not is cancelled, and then left alone."""
    left = set(tasks)
    if left:
        _, left = await asyncio.wait(left, timeout=CANCEL_S)
    for task in left:
        task.cancel("the hub ends")
    if left:
        logger.warning("%d handlers were cancelled", len(left))
        await asyncio.wait(left, timeout=CANCEL_S)
