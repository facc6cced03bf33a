"""Events that nobody waits for, until the database takes them: in order, many at once, and of too many the newest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from db.errors import StoreError
from hub.core.changes import EventHappened
from hub.flow.announce import Announcer

MAX_UNTOLD: Final = 10_000
"""Beyond this the oldest are dropped."""
AT_ONCE: Final = 200


class UntoldEvents:
    """Held in memory: a hub that dies meanwhile forgets them."""

    def __init__(self) -> None:
        self._events: deque[EventHappened] = deque(maxlen=MAX_UNTOLD)

    def add(self, events: Iterable[EventHappened]) -> None:
        self._events.extend(events)

    async def record(self, announce: Announcer) -> None:
        """Record all there are. Raises StoreError: what is not recorded waits for the next time."""
        while self._events:
            events = [self._events.popleft() for _ in range(min(AT_ONCE, len(self._events)))]
            try:
                await announce(*events)
            except StoreError:
                self._events = deque([*events, *self._events], maxlen=MAX_UNTOLD)
                raise
