"""Shows open pages what the command line writes beside a running hub: its lines of the audit log, by polling."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from db.engine.store import Store
from db.queries import events
from hub.kernel.announce import Announcer
from hub.model.actors import SYSTEM
from hub.model.changes import Change, EventHappened

EVERY_S: Final = 1.0
AT_ONCE: Final = 100
"""Lines of one look that are shown; a page that shows a list asks for it whole."""
OWN: Final = 1000


class ForeignEvents:
    """`look` several times a second. A line that is missed is seen with the next reload: this is a hint."""

    def __init__(self, store: Store, announce: Announcer, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._announce = announce
        self._monotonic = monotonic
        self._at = float("-inf")
        self._seen: int | None = None
        self._own: deque[int] = deque(maxlen=OWN)  # Bound: OWN, of this hub in the name of the system

    def on_commit(self, changes: Sequence[Change]) -> None:
        self._own.extend(c.id for c in changes if isinstance(c, EventHappened) and c.actor == SYSTEM and c.id)

    async def look(self) -> None:
        """Raises StoreError when the database is away."""
        if self._monotonic() - self._at < EVERY_S:
            return
        self._at = self._monotonic()
        newest = await events.newest_event_id(self._store)
        if self._seen is not None and newest > self._seen:
            rows = await events.events_by_system(self._store, self._seen, newest, AT_ONCE)
            news = [EventHappened(**msgspec.structs.asdict(row)) for row in rows if row.id not in self._own]
            if news:
                self._announce.observe(*news)
        self._seen = newest
