"""What one person may have the hub read for them: a token bucket each, in thousandths of a second of the event loop.

Who asks for more waits for it, so that a page that reloads itself is slowed and not refused; who would wait too long is
answered 429. A wall of screens and ten tabs that open at once stay far below the burst. Knows no request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final
from weakref import WeakValueDictionary

from hub.core.actors import Actor
from hub.core.token_bucket import TokenBuckets
from hub.web.problems import Problem, Text

PER_SECOND: Final = 150.0
"""A seventh of one processor's time."""
BURST: Final = 1500.0
"""A second and a half of it: 75 times the Machines page, or 150 others."""
PATIENCE_S: Final = 3.0
MAX_PEOPLE: Final = 10_000

OF_PAGE: Final = 10.0
OF_FLEET_PAGE: Final = 20.0
OF_PARTS: Final = 5.0
OF_SNAPSHOT: Final = 10.0
"""With 2,000 machines; what the kernel takes to send it is most of it."""


class ReadBudget:
    """Of everybody who reads."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._buckets = TokenBuckets[Actor](PER_SECOND, BURST, MAX_PEOPLE)
        # Bound: the requests that are under way.
        self._turns: WeakValueDictionary[Actor, asyncio.Lock] = WeakValueDictionary()

    def turn(self, who: Actor) -> asyncio.Lock:
        """Held while something large is written for them, so that ten tabs cost the others no more than one does."""
        return self._turns.setdefault(who, asyncio.Lock())

    async def take(self, who: Actor, cost: float, patience_s: float = PATIENCE_S) -> None:
        """Return when `cost` is there; it is taken at once, so that each waits for its own share and is woken once.
        Raises Problem (429) when that would be longer than `patience_s`; who is refused has waited that long as well,
        or asking again at once would cost more than the answer."""
        now = self._clock()
        wait = self._buckets.wait(who, now, cost)
        if wait > patience_s:
            await self._sleep(patience_s)
            seconds = max(1, math.ceil(wait - patience_s))
            raise Problem("too-many-requests", Text("reads_too_much", {"count": seconds}), retry_after=seconds)
        self._buckets.spend(who, now, cost)
        if wait:
            await self._sleep(wait)
