"""The one door out: Changes are committed, then true in the fleet, then shown. Nothing else writes or shows them.

They become true in the order in which they were committed. What only has to be
seen (samples, the connection) does not wait for the database; what must be kept and is not urgent (a command's
progress) is shown at once and recorded with the next commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from db.errors import Conflict, Rejected
from hub.kernel.commits import Commits
from hub.kernel.samples_lane import SamplesLane
from hub.model.changes import Change, SampleSeen, SamplesKept
from hub.model.fleet import Fleet, Touched

logger = logging.getLogger("myrvm.announce")

AT_ONCE: Final = 100

T = TypeVar("T")


class Publisher(Protocol):
    """Whoever shows it (`hub.kernel.feed`). Called synchronously after the fleet has it; must not block or raise."""

    def publish(self, changes: Sequence[Change], touched: Sequence[Touched]) -> None:
        """`changes` just became true (with their stored ids), and `touched` tells which members of which machines'
        views may differ now. For samples `changes` is empty: only the newest readings count."""
        ...


Listener = Callable[[Sequence[Change]], None]


class Announcer:
    """`await announce(change, event)`; see the methods for what need not be waited for."""

    def __init__(self, fleet: Fleet, commits: Commits, lane: SamplesLane, publisher: Publisher) -> None:
        self.fleet = fleet
        self.lane = lane
        self._commits = commits
        self._publisher = publisher
        self._listeners: list[Listener] = []  # Bound: the parts of the hub, wired at the start

    @property
    def stalled_s(self) -> float:
        """How long writes have been waiting for an answer of the database; 0 when none waits."""
        since = self.lane.writing_since
        return max(self._commits.stalled_s, time.monotonic() - since if since is not None else 0.0)

    def listen(self, listener: Listener) -> None:
        """Also tell this hub's own parts (the links) what became true."""
        self._listeners.append(listener)

    async def __call__(self, *changes: Change) -> list[Change]:
        """Commit all in one transaction, then apply, then publish; returns them with their stored ids.

        Raises db.errors.Conflict, Rejected or Unavailable, and then nothing of it is true.
        """
        return await self._commits.commit(changes, self._on_commit)

    def soon(self, change: Change, still: Callable[[], bool]) -> None:
        """Show it now and record it with the next commit, unless `still` says by then that it is out of date.

        Only for what may be lost with this process (a command's progress: the machine says it again).
        """
        self._on_commit([change])
        self._commits.later(change, still)

    def observe(self, *changes: Change) -> None:
        """What the hub observes and no row holds (Observed), or what another process wrote: true at once, with or
        without a database."""
        self._on_commit(list(changes))

    def show(self, touched: Touched) -> None:
        """Members of a machine's view that time has changed."""
        self._publisher.publish((), (touched,))

    def see(self, change: SampleSeen) -> None:
        """The newest readings of a machine, for whoever watches; nothing is stored."""
        touched = self.fleet.apply(change)
        if touched is not None:
            self._publisher.publish((), (touched,))

    def keep(self, changes: Sequence[SamplesKept], on_committed: Callable[[], None]) -> bool:
        """Hand samples to the lane; never waits. False: full, try again later (REST: 503). `on_committed` is called in
        this event loop once they are durable, and so is all that was handed in before, the same ones perhaps."""
        if not all(self.lane.keep(change) for change in changes):
            return False
        self.lane.settle(on_committed)
        return True

    def _on_commit(self, changes: list[Change]) -> None:
        self._publisher.publish(changes, self.fleet.apply_all(changes))
        for listener in self._listeners:
            listener(changes)


async def announce_each(announce: Announcer, things: Sequence[T], changes_of: Callable[[T], Sequence[Change]]) -> None:
    """The Changes of each thing by themselves, many in one transaction. What is refused is only that thing's, and one
    line in the log; raises Unavailable when the database is away."""
    for start in range(0, len(things), AT_ONCE):
        calls = [announce(*changes) for thing in things[start : start + AT_ONCE] if (changes := changes_of(thing))]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, (Conflict, Rejected)):
                logger.warning("not recorded: %s", outcome)
            elif isinstance(outcome, BaseException):
                raise outcome


__all__ = ["Announcer", "Publisher", "announce_each"]
