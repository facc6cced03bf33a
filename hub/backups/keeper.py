"""Asks machines for backups by schedule, and deletes expired ones: the clock's door. A hub that was killed goes on
where it was."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

import anyio
import anyio.lowlevel

from db.backup_records import BackupRow
from db.engine.store import Store
from db.errors import Conflict, StoreError
from db.queries import backups as rows
from db.queries import events
from hub.backups.rules import due, keep
from hub.backups.rules.keep import QuotaForecast
from hub.backups.rules.life import Wanted
from hub.backups.service import Backups
from hub.commands.rules import Refused
from hub.kernel.objects.place import ObjectsError
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors
from hub.model.backups import is_there, last_good, newest, open_backup
from hub.model.changes import Observed
from hub.model.fleet import Fleet
from hub.model.machine import Machine

logger = logging.getLogger("myrvm.backups")

ASK_EVERY_S: Final = 15.0
KEEP_EVERY_S: Final = 3600.0
KEEP_FIRST_S: Final = 120.0
START_QUIET_S: Final = 300.0
"""A machine that linked so soon after the hub's start was not away: the hub was."""
AT_A_STRETCH: Final = 20
"""Machines judged before other tasks get their turn."""
GIB: Final = 2**30


class BackupKeeper:
    """`ask` and `keep` are one turn of each loop. `forecasts`: by machine; `forecast`: of all backups, None until they
    were counted."""

    def __init__(
        self,
        backups: Backups,
        store: Store,
        fleet: Fleet,
        clock: Callable[[], datetime],
        *,
        zone: str,
        at_once: int,
        quota: int,
        fleet_quota: int,
    ) -> None:  # fmt: skip
        self._backups = backups
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._zone = zone
        self._at_once = at_once
        self._quotas = quota, fleet_quota
        self._since = clock()
        self._asking = RetryUntilAvailable("scheduled backups", StoreError, ObjectsError)
        self._keeping = RetryUntilAvailable("old backups", StoreError, ObjectsError, first_s=5.0, most_s=300.0)
        self.forecasts: dict[int, QuotaForecast] = {}  # Bound: the machines of the fleet
        self.forecast: QuotaForecast | None = None
        self.counted_at: datetime | None = None

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_on)
            tasks.start_soon(self._keep_on)

    async def _ask_on(self) -> None:
        while True:
            await anyio.sleep(ASK_EVERY_S)
            await self._asking(self.ask)

    async def _keep_on(self) -> None:
        await anyio.sleep(KEEP_FIRST_S)
        while True:
            await self._keeping(self.keep)
            await anyio.sleep(KEEP_EVERY_S)

    async def ask(self) -> None:
        """Begin what is due. Raises StoreError."""
        waiting = []
        for number, machine in enumerate(tuple(self._fleet.machines.values()), 1):
            if number % AT_A_STRETCH == 0:
                await anyio.lowlevel.checkpoint()
            if (one := self._due(machine)) is not None:
                waiting.append(one)
        # One that waits for a machine that is away takes nothing of the hub's uplink.
        running = {m.id for m in self._fleet.machines.values() if m.linked and open_backup(m.backups) is not None}
        for rvm_id in due.begins_now(waiting, running, self._at_once):
            found = self._fleet.machines.get(rvm_id)
            if found is not None:
                await self._begin(found)

    def _due(self, machine: Machine) -> due.DueBackup | None:
        if due.why_not(machine) is not None or open_backup(machine.backups) is not None:
            return None
        past, now = past_of(machine), self._clock()
        since = machine.connection_since
        was_away = since is not None and (since - self._since).total_seconds() > START_QUIET_S
        if not due.is_due(due.plan_of(machine, self._zone), past, now, since if was_away else None):
            return None
        return due.DueBackup(machine.id, past.tried_at)

    async def _begin(self, machine: Machine) -> None:
        # An incremental needs an intact chain: the first one, and the next after a failed drill, stand alone.
        damaged = any(is_there(row) and row.drill_error is not None for row in machine.backups.values())
        wanted = "full" if damaged or last_good(machine.backups) is None else "incremental"
        try:
            await self._backups.start(machine, Wanted(wanted, trigger="schedule"), actors.CLOCK)
        except (Refused, Conflict) as refused:
            logger.debug("machine %d is not asked for a backup now: %s", machine.id, refused)

    async def keep(self) -> None:
        """Delete what has expired, and forecast. Raises StoreError, ObjectsError when the rest has to wait."""
        now = self._clock()
        believed = await events.retention_reached(self._store)
        files: list[keep.Stored] = []
        for machine in tuple(self._fleet.machines.values()):
            kept = await rows.kept(self._store, machine.id)
            days = retention_of(machine)
            # A clock that is years ahead would delete all of them at once: the other retention's mark is not.
            for row in keep.expired(kept, days, min(now, believed)) if believed is not None else ():
                await self._delete(row)
                kept.remove(row)
            own = keep.stored(kept, days)
            found = self.forecasts[machine.id] = keep.forecast(own, self._quotas[0], days, now)
            full_at = found.full_at if keep.is_near(found, now) else None
            self._backups.announce.observe(Observed(rvm_id=machine.id, values={"backup_full_at": full_at}))
            files += own
        self.forecasts = {rvm_id: found for rvm_id, found in self.forecasts.items() if rvm_id in self._fleet.machines}
        longest = max((retention_of(machine) for machine in self._fleet.machines.values()), default=30)
        was_near = keep.is_near(self.forecast, now)
        whole = self.forecast = keep.forecast(files, self._quotas[1], longest, now)
        self.counted_at = now
        if keep.is_near(whole, now) and not was_near:
            logger.warning("all backups together reach their quota at %s (--backup-fleet-quota-gib)", whole.full_at)

    async def _delete(self, row: BackupRow) -> None:
        """Bytes first: killed in between, the next turn does it again."""
        try:
            await self._backups.delete(row, actors.CLOCK, why="retention")
        except Conflict:
            logger.info("backup %d was deleted by somebody else", row.id)


def past_of(machine: Machine) -> due.Past:
    good, last = last_good(machine.backups), newest(machine.backups)
    return due.Past(
        since=machine.row.created_at,
        good_at=None if good is None else good.created_at,
        tried_at=None if last is None else last.created_at,
    )


def retention_of(machine: Machine) -> float:
    days = machine.effective_settings.values["backup_retention"]
    return float(days) if isinstance(days, (int, float)) else 0.0
