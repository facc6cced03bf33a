"""Counts the events that machines reported beyond their budget, and records each count when its minute is over.

Held in memory until then: a hub that dies meanwhile forgets at most a minute of counting.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from db.errors import StoreError
from hub.core.changes import EventHappened
from hub.core.reported_events import ReportedEvents
from hub.flow.announce import Announcer

logger = logging.getLogger("myrvm.link")

MAX_UNTOLD: Final = 10_000


class DroppedEvents:
    """Counts what is beyond the budget, and records the counts when their minute is over."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reported = ReportedEvents()
        self._monotonic = monotonic
        self._untold: deque[EventHappened] = deque(maxlen=MAX_UNTOLD)

    def take(self, rvm_id: int, now: datetime) -> bool:
        """Whether this event is recorded; False: it was counted."""
        return self._reported.take(rvm_id, self._monotonic(), now)

    async def record(self, announce: Announcer, now: datetime) -> None:
        """What cannot be recorded now waits for the next time."""
        self._untold.extend(self._reported.due(self._monotonic(), now))
        while self._untold:
            line = self._untold.popleft()
            try:
                await announce(line)
            except StoreError as away:
                self._untold.appendleft(line)
                logger.warning("counts of dropped events wait: %s", away)
                return
