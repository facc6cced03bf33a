"""The clock's door: once a second what time alone changes.

Two loops, so that a slow database stops neither looking nor tearing down. `look` never touches the database. `keep`
does: commands past their deadline, a status or a remote access session past its time, connection events, and machines
that another process (the command line) changed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import anyio

from db.connection import Store
from db.errors import StoreError
from hub.core import command_life
from hub.core.fleet import Fleet
from hub.flow.announce import Announcer
from hub.flow.foreign_changes import ForeignChanges
from hub.flow.leases import Leases
from hub.flow.links import Links
from hub.flow.observer import Observer
from hub.flow.status_clock import give_back_due

logger = logging.getLogger("myrvm.sweeper")

TICK_S: Final = 1.0
KEEP_S: Final = 0.25
"""A machine that the command line has just added may connect this much later."""
STUCK_S: Final = 20.0
"""A peer that has not taken a frame for this long is torn down (reliability.md, bar 26: 30 s)."""
EXPIRE_AT_ONCE: Final = 100


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
        self._foreign = ForeignChanges(store, fleet, announce, observer)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_on)
            tasks.start_soon(self._keep_on)

    def look(self) -> None:
        self._observer.tick()
        self._links.abort_stuck(time.monotonic(), STUCK_S)

    async def keep(self) -> None:
        try:
            await self._observer.record()
            await self._expire()
            await give_back_due(self._fleet, self._announce, self._clock())
            await self.leases.keep()
            await self._links.door.end_due()
            await self._links.dropped_events.record(self._announce, self._clock())
            await self._foreign.look()
        except StoreError as away:
            logger.warning("the database is away: %s", away)

    async def _look_on(self) -> None:
        while True:
            await anyio.sleep(TICK_S)
            self.look()

    async def _keep_on(self) -> None:
        while True:
            await anyio.sleep(KEEP_S)
            await self.keep()

    async def _expire(self) -> None:
        """Every command past its deadline ends, many in one transaction; one that just ended otherwise stays so."""
        now = self._clock()
        due = [command for command in self._fleet.open.values() if command.expires_at <= now]
        for start in range(0, len(due), EXPIRE_AT_ONCE):
            async with anyio.create_task_group() as tasks:
                for command in due[start : start + EXPIRE_AT_ONCE]:
                    tasks.start_soon(self._expire_one, command.id, now)

    async def _expire_one(self, command_id: str, now: datetime) -> None:
        command = self._fleet.open.get(command_id)
        machine = None if command is None else self._fleet.machines.get(command.rvm_id)
        if command is None or machine is None:
            return
        try:
            await self._announce(*command_life.expire(machine, command, now))
        except StoreError as error:
            logger.warning("machine %d: command %s not expired yet: %s", command.rvm_id, command_id, error)
