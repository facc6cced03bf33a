"""Retries until the database is available: one back-off for all, two log lines an outage. What piles up stays with
the caller."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import anyio

from db.errors import Unavailable

logger = logging.getLogger("myrvm.database")

FIRST_S: Final = 0.2
MOST_S: Final = 3.0

T = TypeVar("T")


def delays(first_s: float, most_s: float, dice: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds before each next attempt: doubled up to `most_s`, each spread over its upper half. `dice` gives
    [0, 1)."""
    ceiling = first_s
    while True:
        yield ceiling * (1 + dice()) / 2
        ceiling = min(2 * ceiling, most_s)


class RetryUntilAvailable:
    """Repeats work that failed with one of `on` (Unavailable), for any number of tasks; other exceptions pass."""

    def __init__(self, subject: str, *on: type[Exception], first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        self._subject = subject
        self._on = on or (Unavailable,)
        self._pauses = (first_s, most_s)
        self._waiting = 0
        self.since: float | None = None
        """Monotonic; None when nobody waits."""
        self.waiting = asyncio.Event()

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except self._on as away:
            self._begin(away)
        pauses, answered = delays(*self._pauses, random.random), True
        try:
            while True:
                await anyio.sleep(next(pauses))
                with contextlib.suppress(*self._on):
                    return await work()
        except asyncio.CancelledError:
            answered = False
            raise
        finally:
            self._end(answered)

    def _begin(self, away: Exception) -> None:
        self._waiting += 1
        if self.since is None:
            self.since = time.monotonic()
            self.waiting.set()
            logger.warning("%s: not now, tried again until it works: %s", self._subject, away)

    def _end(self, answered: bool) -> None:
        """The outage is over when the last waiting task got through."""
        self._waiting -= 1
        if not self._waiting and self.since is not None:
            lasted, self.since = time.monotonic() - self.since, None
            self.waiting.clear()
            if answered:
                logger.warning("%s: works again after %.1f s", self._subject, lasted)
