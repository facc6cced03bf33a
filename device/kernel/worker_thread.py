"""One daemon thread for blocking work (sensors, disk, HTTP): a sensor that hangs must not keep the process from
ending."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class WorkerThread:
    def __init__(self, name: str) -> None:
        # Bound: one a caller that waits.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._since: float | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def busy_s(self) -> float:
        """Of the present call; 0 without one."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """In the thread; its exception is raised here."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                value = function(*arguments)
            except BaseException as error:  # noqa: BLE001 - whatever it was belongs to the caller
                _settle(loop, answer, None, error)
            else:
                _settle(loop, answer, value, None)

        self._jobs.put(job)
        return await answer

    def post(self, function: Callable[[], object]) -> None:
        """Its result and OSError are dropped."""

        def job() -> None:
            with contextlib.suppress(OSError):
                function()

        self._jobs.put(job)

    def stop(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._since = time.monotonic()
            job()
            self._since = None


def _settle(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Any], value: Any, error: BaseException | None
) -> None:
    def settle() -> None:
        if answer.done():  # the caller has stopped waiting
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: the process is ending and nobody waits
        return
