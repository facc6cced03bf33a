"""When the hub works on what machines' pages send: one piece at a time, then rest, so that no page, and no twenty of
them, keep the event loop from everybody else. Leases take turns with each other, and the requests of a lease among
themselves: who serves the worst page waits for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Final, TypeVar

import anyio

T = TypeVar("T")
REST: Final = 3.0
"""So many times as long as it worked the loop belongs to others: pages take a quarter of it at most."""
AROUND_S: Final = 0.0002
"""What a piece costs beside the work: its frame comes in, the part goes out."""
REQUEST_S: Final = 0.0015
"""What a request costs beside all pieces: its headers, a stream to the machine, an answer of ours for want of one."""
UNRESTED_S: Final = 0.003
"""So much rest may be owed before it is taken: the clocks of an event loop do not count in less than milliseconds."""


class PageTurns:
    """Of the whole hub."""

    def __init__(self) -> None:
        self._one = anyio.Lock()
        self._owed = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """Its answer. `work` is short: a few kilobytes."""
        async with self._one:
            if self._owed > UNRESTED_S:
                owed, self._owed = self._owed, 0.0
                await anyio.sleep(owed)
            began = thread_time()
            try:
                return work()
            finally:
                self.charge(thread_time() - began + AROUND_S)

    def charge(self, worked_s: float) -> None:
        """For work that had no turn of its own."""
        self._owed += REST * worked_s


class LeaseTurns:
    """Of one lease: it has one place among all leases, whatever it has under way."""

    def __init__(self, turns: PageTurns) -> None:
        self._turns = turns
        self._one = anyio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        async with self._one:
            return await self._turns.run(work)

    async def begin(self) -> None:
        """A request, or a WebSocket: returns when it may be worked on."""
        await self.run(lambda: None)
        self.charge(REQUEST_S)

    def charge(self, worked_s: float) -> None:
        self._turns.charge(worked_s)
