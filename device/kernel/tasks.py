"""Task groups for Python 3.10."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

CANCEL_AGAIN_S: Final = 0.5

T = TypeVar("T")


async def until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """When one returns or raises, cancel the others and raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    for task in tasks:
        task.add_done_callback(_look)  # also of one that ends behind a second cancellation of ours
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in tasks if task.done()]
    finally:
        await _end(tasks)
    for task in ended:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


class Tasks:
    """Each catches its own errors."""

    def __init__(self) -> None:
        # Bound: what its owner starts, gone when it ends.
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> Callable[[], None]:
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

        def end() -> None:
            task.cancel()

        return end

    async def end(self) -> None:
        await _end(list(self._running))


def _look(task: asyncio.Future[Any]) -> None:
    """Retrieve the error: asyncio logs one that nobody looked at."""
    if not task.cancelled():
        task.exception()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all ended: what a foreign library waits with may lose a cancellation."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Cancel what takes longer and raise asyncio.TimeoutError. `asyncio.wait_for` loses, before Python 3.12, a
    cancellation that comes with the result: a session that was ended would go on."""
    if seconds == float("inf"):
        return await awaitable
    task = asyncio.ensure_future(awaitable)
    task.add_done_callback(_look)
    try:
        await asyncio.wait((task,), timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait((task,))
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
        if task.cancelled():
            raise asyncio.TimeoutError
    return task.result()


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event so many seconds; returns whether it was set in time."""
    return await wait_for_any((event,), seconds)


async def wait_for_any(events: Sequence[asyncio.Event], seconds: float = float("inf")) -> bool:
    """Whether one was set in time."""
    if any(event.is_set() for event in events):
        return True
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        timeout = None if seconds == float("inf") else max(0.0, seconds)
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return any(event.is_set() for event in events)
