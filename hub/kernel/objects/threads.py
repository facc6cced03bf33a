"""Runs calls that may hang in a few threads, and gives up on each when nothing has moved for a while. A hanging
thread keeps its place."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import anyio
import anyio.to_thread

from hub.kernel.objects.place import ObjectsError

SILENCE_S: Final = 14.0
"""A call ends when it has waited so long for a thread or a byte."""
WAITING: Final = 64
"""Further calls are refused, which bounds what they hold."""

T = TypeVar("T")
_here = threading.local()


def moved() -> None:
    call: _Call[object] | None = getattr(_here, "call", None)
    if call is not None:
        call.moved()


class ObjectThreads:
    def __init__(self, most: int) -> None:
        self._places = anyio.CapacityLimiter(most)
        self._unlimited = anyio.CapacityLimiter(math.inf)

    @property
    def taken(self) -> int:
        """Also those that nobody waits for."""
        return self._places.borrowed_tokens

    async def run(self, job: Callable[[], T], seconds: float) -> T:
        """Raises ObjectsError after `seconds`, or SILENCE_S without a byte."""
        if self._places.statistics().tasks_waiting >= WAITING:
            raise ObjectsError("too much waits for the object store")
        now = anyio.current_time()
        call = _Call(job, self._places, anyio.CancelScope(deadline=now + min(SILENCE_S, seconds)), now + seconds)
        with call.scope:
            await self._places.acquire_on_behalf_of(call)
            try:
                return await anyio.to_thread.run_sync(call.work, limiter=self._unlimited, abandon_on_cancel=True)
            finally:
                call.leave()
        raise ObjectsError("the object store does not answer")


class _Call(Generic[T]):
    """Frees its place when nobody waits and no thread works on it."""

    def __init__(
        self, job: Callable[[], T], places: anyio.CapacityLimiter, scope: anyio.CancelScope, ends: float
    ) -> None:
        self.scope = scope
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._places = places
        self._ends = ends
        self._lock = threading.Lock()
        self._begun = self._ended = self._left = False
        self._moved_at = 0.0

    def work(self) -> T:
        with self._lock:
            if self._left:
                raise ObjectsError("nobody waits for it")
            self._begun = True
        _here.call = self
        try:
            return self._job()
        finally:
            _here.call = None
            with self._lock:
                self._ended = True
                left = self._left
            if left:
                self._in_loop(self._give_back)

    def leave(self) -> None:
        with self._lock:
            self._left = True
            works = self._begun and not self._ended
        if not works:
            self._give_back()

    def moved(self) -> None:
        """Not for every piece: the loop has other work."""
        now = time.monotonic()
        if now - self._moved_at >= SILENCE_S / 10:
            self._moved_at = now
            self._in_loop(self._extend)

    def _extend(self) -> None:
        self.scope.deadline = min(anyio.current_time() + SILENCE_S, self._ends)

    def _give_back(self) -> None:
        self._places.release_on_behalf_of(self)

    def _in_loop(self, job: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(job)
