"""The clock's door: once a second what time alone changes.

Two loops, so that a slow database stops neither looking nor tearing down. `look` never touches the database. `keep`
does: commands past their deadline, a status or a remote access session past its time, connection events, and machines
that another process (the command line) changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import anyio

from db.connection import Store
from db.errors import StoreError, Unavailable
from hub.commands.rules import life
from hub.kernel.announce import Announcer, announce_each
from hub.kernel.foreign_changes import ForeignChanges
from hub.kernel.observer import Observer
from hub.kernel.retry import RetryUntilAvailable
from hub.links.links import Links
from hub.model.changes import Change, Command
from hub.model.fleet import Fleet
from hub.remote.service import Leases
from hub.status.service import give_back_due

logger = logging.getLogger("myrvm.schedule")

TICK_S: Final = 1.0
KEEP_S: Final = 0.25
"""A machine that the command line has just added may connect this much later."""
STUCK_S: Final = 20.0
"""A peer that has not taken a frame for this long is torn down (reliability.md, bar 26: 30 s)."""

Part = Callable[[], Awaitable[None]]


class Sweeper:
    """`run` both loops until cancelled; `look` and `keep` are one turn of each."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        announce: Announcer,
        links: Links,
        observer: Observer,
        clock: Callable[[], datetime],
        leases: Leases,
    ) -> None:
        self.leases = leases
        self._fleet = fleet
        self._announce = announce
        self._links = links
        self._observer = observer
        self._clock = clock
        self._retry = RetryUntilAvailable("what the clock changes")
        self._foreign = ForeignChanges(store, fleet, announce, observer)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_on)
            tasks.start_soon(self._keep_on)

    def look(self) -> None:
        self._observer.tick()
        self._links.abort_stuck(time.monotonic(), STUCK_S)

    async def keep(self) -> None:
        """One turn. What is refused is one part's own; raises Unavailable, and then the rest of the turn is missing."""
        parts: tuple[Part, ...] = (
            self._observer.record,
            self._expire,
            lambda: give_back_due(self._fleet, self._announce, self._clock()),
            self.leases.keep,
            self._links.door.end_due,
            self._record_counts,
            self._foreign.look,
        )
        for part in parts:
            await _one(part)

    async def _look_on(self) -> None:
        while True:
            await anyio.sleep(TICK_S)
            self.look()

    async def _keep_on(self) -> None:
        while True:
            await anyio.sleep(KEEP_S)
            await self._retry(self.keep)

    async def _record_counts(self) -> None:
        now, links = self._clock(), self._links
        await links.dropped_events.record(self._announce, now, links.budget.due(time.monotonic(), now))

    async def _expire(self) -> None:
        """Every command past its deadline ends; one that just ended otherwise stays so."""
        now = self._clock()
        due = [command for command in self._fleet.open.values() if command.expires_at <= now]
        await announce_each(self._announce, due, lambda command: self._expired(command, now))

    def _expired(self, command: Command, now: datetime) -> Sequence[Change]:
        machine = self._fleet.machines.get(command.rvm_id)
        still = self._fleet.open.get(command.id)
        return () if machine is None or still is None else life.expire(machine, still, now)


async def _one(part: Part) -> None:
    try:
        await part()
    except Unavailable:
        raise
    except StoreError as refused:
        logger.warning("the database refuses: %s", refused)
