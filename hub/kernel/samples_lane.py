"""The samples lane: one writer, all pending in one transaction, then one cumulative acknowledgement a link.

While the database is away what is pending is kept and tried again; when the lane is full callers stop reading
(`has_room`, `room`). Knows no socket."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from db.engine.store import Store
from db.errors import Conflict, Rejected, StoreError
from db.rows import SampleRow
from hub.kernel.retry import RetryUntilAvailable

logger = logging.getLogger("myrvm.samples")

ROWS_PER_COMMIT: Final = 2000
"""A larger commit takes longer without getting cheaper."""
MAX_PENDING: Final = 200_000
"""About 100 MB: 2,000 a second for 100 s, or 5,000 machines' spools of 40."""
LINGER_MOST_S: Final = 0.020
LINGER_PER_COMMIT: Final = 2.0
"""The writer's longest wait for more, in durations of a commit."""
BUSY_ROWS: Final = 2
"""A commit of fewer rows was not worth waiting for."""
ENOUGH_ROWS: Final = 256
"""With so many pending it does not wait."""


class Ticket(Protocol):
    waiting: int
    """Of its samples in the lane; kept by the lane."""

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` is committed. Called in the event loop; must not block."""


class _Request:
    def __init__(self, on_committed: Callable[[], None]) -> None:
        self.waiting = 0
        self._on_committed = on_committed

    def acknowledge(self, seq: int) -> None:
        del seq
        self._on_committed()


class SamplesLane:
    """A queue of samples on their way to the database. Filled by `put` and `put_uploaded`, emptied by `run` in one
    task."""

    def __init__(self, store: Store, *, max_pending: int = MAX_PENDING) -> None:
        self._store = store
        self._max_pending = max_pending
        # Bound: MAX_PENDING samples; who finds it full stops reading.
        self._lane: deque[tuple[Sequence[SampleRow], Ticket, int]] = deque()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self.pending = 0
        self.links = 0
        """Sharing the room; kept by the registry of links."""
        self.committed = 0
        self.dropped = 0
        self.retry = RetryUntilAvailable("samples", StoreError)
        self.writing_since: float | None = None
        """Monotonic; None between commits."""
        self._last_rows = 0
        self._last_commit_s = 0.0

    def has_room(self, ticket: Ticket) -> bool:
        """Half of the room is first come, first served; in the other half each link has its share."""
        pending = self.pending
        if 2 * pending < self._max_pending:
            return True
        return pending < self._max_pending and ticket.waiting * 2 * max(self.links, 1) < self._max_pending

    async def room(self) -> None:
        self._room.clear()
        await self._room.wait()

    def put(self, rows: Sequence[SampleRow], ticket: Ticket, seq: int) -> None:
        """Queue samples of one link, in order. Without rows (only repeats) the acknowledgement still waits its turn."""
        self._lane.append((rows, ticket, seq))
        ticket.waiting += len(rows)
        self.pending += len(rows)
        if not self._ready.is_set():
            self._ready.set()

    def put_uploaded(self, rows: Sequence[SampleRow], on_committed: Callable[[], None]) -> bool:
        """Queue samples that came by REST. False: the lane is full. Without rows (only repeats) `on_committed` still
        waits its turn."""
        ticket = _Request(on_committed)
        if rows and not self.has_room(ticket):
            return False
        self.put(rows, ticket, 0)
        return True

    async def run(self) -> None:
        while True:
            await self._ready.wait()
            await self._linger()
            rows, marks = self._take()
            self.writing_since = began = time.monotonic()
            if rows:
                await self._store_until_done(rows)
                self._last_commit_s = time.monotonic() - began
            self._last_rows = len(rows)
            self.committed += len(rows)
            for ticket, seq in marks.items():
                ticket.acknowledge(seq)
            self.writing_since = None
            self._room.set()

    async def flush(self) -> None:
        while self._lane or self.writing_since is not None:
            await self.room()

    async def _linger(self) -> None:
        """Wait a moment for more samples when there is load: it halves the number of commits."""
        if self._last_rows >= BUSY_ROWS and self.pending < ENOUGH_ROWS:
            await asyncio.sleep(min(LINGER_PER_COMMIT * self._last_commit_s, LINGER_MOST_S))

    def _take(self) -> tuple[list[SampleRow], dict[Ticket, int]]:
        rows: list[SampleRow] = []
        marks: dict[Ticket, int] = {}
        lane = self._lane
        while lane and len(rows) < ROWS_PER_COMMIT:
            some, ticket, seq = lane.popleft()
            rows += some
            marks[ticket] = seq
            ticket.waiting -= len(some)
        self.pending -= len(rows)
        if not lane:
            self._ready.clear()
        return rows, marks

    async def _store_until_done(self, rows: list[SampleRow]) -> None:
        """Retry until each row is durable, or refused for good."""
        refused = await self.retry(partial(self._stored, rows))
        if refused is not None:
            await self._store_what_fits(rows, refused)

    async def _stored(self, rows: list[SampleRow]) -> Rejected | Conflict | None:
        """Try once. Returns the error of a row that no retry would store, None when all are stored; raises StoreError
        when a retry may."""
        try:
            await self._store.store_samples(rows)
        except (Rejected, Conflict) as refused:
            return refused
        return None

    async def _store_what_fits(self, rows: list[SampleRow], refused: StoreError) -> None:
        """Store the two halves apart, and so on until the refused row is alone: it is dropped and counted."""
        if len(rows) == 1:
            self.dropped += 1
            logger.error("machine %d: a sample was refused by the database: %s", rows[0].rvm_id, refused)
            return
        middle = len(rows) // 2
        await self._store_until_done(rows[:middle])
        await self._store_until_done(rows[middle:])
