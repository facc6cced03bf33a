"""How long the event loop was blocked: the one number that says whether something slow got into it."""

from __future__ import annotations

import asyncio
from typing import Final

INTERVAL_S: Final = 0.05


class LoopLag:
    """`longest_s` since the start (or the last `reset`), `recent_s` in the last minute or the one before it."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._this_minute = 0.0
        self._last_minute = 0.0
        self._minute_ends = 0.0

    @property
    def recent_s(self) -> float:
        return max(self._this_minute, self._last_minute)

    def reset(self) -> None:
        """Begin anew: what happened before serving (or before a test's load) does not count."""
        self.longest_s = self._this_minute = self._last_minute = 0.0

    def note(self, late: float, now: float) -> None:
        """The loop came `late` seconds after it should have."""
        self.longest_s = max(self.longest_s, late)
        if now >= self._minute_ends:
            self._last_minute, self._this_minute = self._this_minute, 0.0
            self._minute_ends = now + 60.0
        self._this_minute = max(self._this_minute, late)

    async def run(self) -> None:
        """Look every 50 ms, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            now = loop.time()
            self.note(max(0.0, now - due), now)
