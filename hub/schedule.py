"""Runs what time alone causes: every second what is due, every hour what is stored for too long.

The sweeper has two loops: `look` never touches the database, `keep` does. Retention deletes at most 2,000 rows at
once, and rests for as long as that took."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import anyio

from db.engine.store import Store
from db.errors import StoreError, Unavailable
from db.queries import boots, events, samples, statuses
from db.records import CommandRow, MachineRow
from hub.commands import rules as command_rules
from hub.kernel.announce import Announcer, announce_each
from hub.kernel.loading import ForeignChanges, ForeignEvents, LifeSigns
from hub.kernel.observer import Observer
from hub.kernel.retry import RetryUntilAvailable
from hub.links.links import Links
from hub.model.changes import Change, EventHappened, Put, RowsExpired, drops
from hub.model.fleet import Fleet
from hub.model.machine import BOOTS_KEPT
from hub.people import rules
from hub.remote.service import RemoteSessions
from hub.status.service import give_back_due

logger = logging.getLogger("myrvm.schedule")

TICK_S: Final = 1.0
KEEP_S: Final = 0.25
"""A machine just added by the command line connects so much later."""
STUCK_S: Final = 20.0
"""A peer that takes no frame for so long is torn down."""

Part = Callable[[], Awaitable[None]]


class Sweeper:
    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        announce: Announcer,
        links: Links,
        observer: Observer,
        clock: Callable[[], datetime],
        remote_sessions: RemoteSessions,
        events_seen: int,
    ) -> None:
        self.remote_sessions = remote_sessions
        self._fleet = fleet
        self._announce = announce
        self._links = links
        self._observer = observer
        self._clock = clock
        self._retry = RetryUntilAvailable("what the clock changes")
        self._foreign = ForeignChanges(store, fleet, announce, observer)
        self._foreign_events = ForeignEvents(store, announce, events_seen)
        self._life_signs = LifeSigns(announce, clock)
        announce.listen(self._foreign_events.on_commit, EventHappened)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_on)
            tasks.start_soon(self._keep_on)

    def look(self) -> None:
        self._observer.tick()
        self._links.abort_stuck(time.monotonic(), STUCK_S)

    async def keep(self) -> None:
        """A refusal costs that part; Unavailable ends the turn."""
        parts: tuple[Part, ...] = (
            self._observer.record, self._expire, lambda: give_back_due(self._fleet, self._announce, self._clock()),
            self.remote_sessions.keep, self._links.key_conflicts.end_due, self._record_counts, self._foreign.look,
            self._foreign_events.look, self._life_signs.leave,
        )  # fmt: skip
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
        now = self._clock()
        due = [command for command in self._fleet.open.values() if command_rules.is_due(command, now)]
        await announce_each(self._announce, due, lambda command: self._expired(command, now))

    def _expired(self, command: CommandRow, now: datetime) -> Sequence[Change]:
        machine = self._fleet.machines.get(command.rvm_id)
        still, link = self._fleet.open.get(command.id), self._links.get(command.rvm_id)
        if link is not None and command.id in link.answered:
            return ()  # it was in time; its end waits for the database
        if machine is None or still is None:
            return ()
        self._links.show_progress(machine, command_rules.brought_nearer(still, now))
        return command_rules.expire(machine, still, now)


async def _one(part: Part) -> None:
    try:
        await part()
    except Unavailable:
        raise
    except StoreError as refused:
        logger.warning("the database refuses: %s", refused)


PURGE_EVERY_S = 3600.0
PURGE_FIRST_S = 60.0
"""A fleet that comes back after a restart goes first."""
PURGE_RETRY_S = 60.0
PIECE = 2000
MACHINES_A_PIECE: Final = 20
"""Each has a few rows an hour; a transaction costs more."""
HISTORY: Final = timedelta(days=400)
"""Any month beside that of a year ago; the audit log is kept longer."""
FAILURES: Final = timedelta(seconds=max(rules.LOCK_S, rules.FORGET_S))
ENROLMENTS: Final = timedelta(days=30)
"""After the code's end, and since a machine asked last; who came in and how is in the audit log."""
NOTIFICATIONS: Final = timedelta(days=30)
NOTHING: Final = timedelta(0)
STEP: Final = timedelta(days=1)
REMOVED: Final = "samples of removed machines"
RETENTION: Final = {
    REMOVED: NOTHING, "sessions": NOTHING, "sign_in_links": NOTHING, "sign_in_failures": FAILURES,
    "timezone_sync_logs": HISTORY, "commands": HISTORY, "remote_access_sessions": HISTORY, "tokens": HISTORY,
    "enrolment_codes": ENROLMENTS, "enrolments": ENROLMENTS,
    "status_history": HISTORY, "machine_boots": timedelta(hours=1), "backup_logs": HISTORY, "backup_restores": HISTORY,
    "troubles": HISTORY, "notifications": NOTIFICATIONS,
}  # fmt: skip
"""How long after its end, last use or beginning a row stays. Open commands and remote sessions stay, and so do boots
that the fleet knows, and backups whose file is there."""


async def _removed(store: Store, before: datetime) -> list[int]:
    del before
    return await samples.removed_machines(store)


async def _more_boots(store: Store, before: datetime) -> list[int]:
    del before
    return await boots.machines_with_more_boots(store, BOOTS_KEPT)


MACHINES_DUE: Final[dict[str, Callable[[Store, datetime], Awaitable[list[int]]]]] = {
    REMOVED: _removed,
    "system_metrics": samples.machines_with_samples_before,
    "status_history": statuses.machines_with_statuses_before,
    "machine_boots": _more_boots,
}
"""Whose rows expire, where kept by machine. This read blocks no writer."""


class Retention:
    """`kept`: of readings."""

    def __init__(self, store: Store, announce: Announcer, clock: Callable[[], datetime], kept: timedelta) -> None:
        self._store = store
        self._announce = announce
        self._clock = clock
        self._started = clock(), time.monotonic()
        self._kept = {**RETENTION, "system_metrics": kept}
        self._waits = self._doubted = False
        self._removed = asyncio.Event()

    def on_commit(self, changes: Sequence[Change]) -> None:
        """Removed machines' samples go soon, not with the hour."""
        if any(drops(changes, MachineRow)):
            self._removed.set()

    async def run(self) -> None:
        await self._wait(PURGE_FIRST_S)
        while True:
            done = await self.turn()
            await self._wait(PURGE_EVERY_S if done else PURGE_RETRY_S)

    async def _wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while True:
                await self._removed.wait()
                self._removed.clear()
                await self.turn(REMOVED)

    async def turn(self, *kinds: str) -> bool:
        """Delete what is due, or these kinds. False: some waits for the database."""
        try:
            now = self._clock() if kinds == (REMOVED,) else await self._believed()
        except StoreError as error:
            self._wait_for(error, "the database")
            return False
        failed = 0
        for kind in kinds or self._kept:
            try:
                await self._purge(kind, now)
            except StoreError as error:  # noqa: PERF203 - each table for itself
                failed += 1
                self._wait_for(error, kind)
        if self._waits and not failed:
            logger.info("what had to wait for the database is deleted")
            self._waits = False
        return not failed

    def _wait_for(self, error: StoreError, kind: str) -> None:
        if not self._waits:
            logger.warning("what is old in %s waits for the database: %s", kind, error)
        self._waits = True

    async def _believed(self) -> datetime:
        """The hub's clock, at most a day ahead of its run since the start, and a day further than at the last turn:
        a clock years ahead would delete everything at once."""
        began, at = self._started
        clock = self._clock()
        now = min(clock, began + timedelta(days=1, seconds=time.monotonic() - at))
        before = await events.retention_reached(self._store)
        if before is not None:
            now = min(now, before + STEP)
        if before is None or now > before:
            await self._announce(Put(events.retention_mark(now), over=("value",)))
        if clock - now > STEP and not self._doubted:
            logger.warning(
                "the clock says %s, retention is at %s and goes on a day an hour; is the clock right?", clock, now
            )
        self._doubted = clock - now > STEP
        return now

    async def _purge(self, kind: str, now: datetime) -> None:
        before = now - self._kept[kind]
        if kind not in MACHINES_DUE:
            while (await self._piece(kind, before, PIECE))[0] == PIECE:
                pass
            return
        due = await MACHINES_DUE[kind](self._store, before)
        while due:
            group, due = due[:MACHINES_A_PIECE], due[MACHINES_A_PIECE:]
            most = PIECE // len(group)
            deleted = await self._piece(kind, before, most, group)
            due = [rvm_id for rvm_id, count in zip(group, deleted, strict=True) if count == most] + due

    async def _piece(self, kind: str, before: datetime, most: int, rvm_ids: list[int] | None = None) -> tuple[int, ...]:
        began = time.monotonic()
        piece = RowsExpired(kind=kind, before=before, most=most, rvm_ids=tuple(rvm_ids or ()))
        (done,) = await self._announce(piece)
        await anyio.sleep(time.monotonic() - began)
        return getattr(done, "deleted", None) or (0,)
