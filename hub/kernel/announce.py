"""The one door out: Changes are committed, then applied to the fleet, then published, in the order of the commits.

Samples and the connection do not wait for the database; a command's progress is shown at once and recorded with the
next commit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from db.engine.row_writes import key_of
from db.errors import Conflict, Rejected
from db.records import CommandRow
from db.rows import SampleRow
from db.table_row import TableRow
from hub.kernel.commits import Commits
from hub.kernel.samples_lane import SamplesLane
from hub.model.changes import Change, Drop, Move, Patch, Put, SampleSeen, put_rows
from hub.model.fleet import Fleet, Touched

logger = logging.getLogger("myrvm.announce")

AT_ONCE: Final = 100

T = TypeVar("T")


class Publisher(Protocol):
    """Sends what has changed to browsers. Called once the fleet in memory has it; must not block or raise."""

    def publish(self, changes: Sequence[Change], touched: Sequence[Touched]) -> None:
        """`changes` as stored; `touched`: which members of which machines' views may differ. For samples `changes`
        is empty."""
        ...


Listener = Callable[[Sequence[Change]], None]


class Announcer:
    def __init__(self, fleet: Fleet, commits: Commits, lane: SamplesLane, publisher: Publisher) -> None:
        self.fleet = fleet
        self.lane = lane
        self._commits = commits
        self._publisher = publisher
        # Bound: the parts of the hub, wired at the start
        self._listeners: list[tuple[Listener, frozenset[type]]] = []
        self._recalls: dict[object, set[tuple[type, Any]]] = {}  # Bound: reads under way

    @property
    def stalled_s(self) -> float:
        """Seconds that writes have waited for the database; 0: none waits."""
        since = self.lane.writing_since
        return max(self._commits.stalled_s, time.monotonic() - since if since is not None else 0.0)

    def listen(self, listener: Listener, *about: type) -> None:
        """Called after every commit; with `about`, after those of which a Change is about one of these."""
        self._listeners.append((listener, frozenset(about)))

    async def __call__(self, *changes: Change) -> list[Change]:
        """Commit all in one transaction, apply, publish; returns them as stored.

        Raises Conflict, Rejected or Unavailable, and then nothing is applied."""
        commands = list(put_rows(changes, CommandRow))
        if not commands:
            return await self._commits.commit(changes, self._on_commit)
        self.fleet.admit(commands)
        return await self._commits.commit(changes, self._on_commit, partial(self.fleet.release, commands))

    def write_behind(self, change: Change, still: Callable[[], bool]) -> None:
        """Apply and publish at once, store with the next commit unless `still()` is False by then. Only for what may be
        lost with this process."""
        self._on_commit([change])
        self._commits.write_behind(change, still)

    def observe(self, *changes: Change) -> None:
        """Apply at once, without the database: what no row holds (Observed), or what another process wrote."""
        self._on_commit(list(changes))

    async def recall(self, read: Callable[[], Awaitable[Iterable[TableRow]]]) -> None:
        """Apply rows as the database has them; `read` again where a commit changed one of them since it began to: it
        would come back as it was. Raises what `read` does."""
        reading = object()
        while True:
            changed = self._recalls[reading] = set()
            try:
                rows = list(await read())
            finally:
                del self._recalls[reading]
            if not any((type(row), key) in changed for row in rows for key in (None, key_of(row))):
                break
        if rows:
            self.observe(*(Put(row) for row in rows))

    def publish_members(self, touched: Touched) -> None:
        """Of a machine's view, which differ without a Change: what follows from a link."""
        self._publisher.publish((), (touched,))

    def publish_readings(self, change: SampleSeen) -> None:
        """Apply and publish the newest readings; nothing is stored."""
        touched = self.fleet.apply(change)
        if touched is not None:
            self._publisher.publish((), (touched,))

    def queue_samples(self, samples: Sequence[SampleRow], on_committed: Callable[[], None]) -> bool:
        """Put them into the samples lane; never waits. False: the lane is full, try again later (REST: 503).
        `on_committed` is called in the event loop once these and all before are durable."""
        return self.lane.put_uploaded(samples, on_committed)

    def _on_commit(self, changes: list[Change]) -> None:
        for changed in self._recalls.values():
            changed.update((change.about, _key_of(change)) for change in changes)
        self._publisher.publish(changes, self.fleet.apply_all(changes))
        about = {change.about for change in changes}
        for listener, wanted in self._listeners:
            if not wanted or not wanted.isdisjoint(about):
                listener(changes)


def _key_of(change: Change) -> Any:
    """The primary key of the row that a Change is about. None: it is about every row, or no row."""
    if isinstance(change, (Put, Move)):
        return key_of(change.row)
    return change.key if isinstance(change, (Patch, Drop)) else None


async def announce_each(announce: Announcer, things: Sequence[T], changes_of: Callable[[T], Sequence[Change]]) -> None:
    """Commit each thing's Changes in a transaction of its own, AT_ONCE of them at a time. Where one is refused, that
    thing is skipped, with a line in the log; raises Unavailable."""
    for start in range(0, len(things), AT_ONCE):
        calls = [announce(*changes) for thing in things[start : start + AT_ONCE] if (changes := changes_of(thing))]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, (Conflict, Rejected)):
                logger.warning("not recorded: %s", outcome)
            elif isinstance(outcome, BaseException):
                raise outcome


__all__ = ["Announcer", "Publisher", "announce_each"]
