"""Counts the events that machines reported beyond their budget, and records each count when its minute is over.

Held in memory until then: a hub that dies meanwhile forgets at most a minute of counting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from hub.kernel.announce import Announcer
from hub.kernel.observer import UntoldEvents
from hub.model.changes import EventHappened
from hub.model.reported_events import ReportedEvents


class DroppedEvents:
    """Counts what is beyond the budget, and records the counts when their minute is over."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reported = ReportedEvents()
        self._monotonic = monotonic
        self._untold = UntoldEvents()

    def take(self, rvm_id: int, now: datetime) -> bool:
        """Whether this event is recorded; False: it was counted."""
        return self._reported.take(rvm_id, self._monotonic(), now)

    async def record(self, announce: Announcer, now: datetime, more: Iterable[EventHappened] = ()) -> None:
        """Record the counts whose minute is over, and `more`. Raises StoreError: they wait for the next time."""
        self._untold.add([*self._reported.due(self._monotonic(), now), *more])
        await self._untold.record(announce)
