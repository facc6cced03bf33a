"""Moves restores on: safety backup, command, end. Knows no request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import anyio

from db.backup_records import BackupRow, RestoreRow
from db.engine.store import Store
from db.errors import Conflict
from db.queries import backups as rows
from db.queries import commands, users
from db.records import CommandRow
from hub.backups.rules import restore as rules
from hub.backups.rules.life import Wanted
from hub.backups.rules.restore import RestoreAsked
from hub.backups.service import Backups
from hub.commands.rules import Refused, still_may
from hub.kernel.announce import Announcer
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors
from hub.model.actors import Actor
from hub.model.changes import Change, moved_rows, put_rows
from hub.model.fleet import TERMINAL, Fleet
from hub.model.machine import Machine

logger = logging.getLogger("myrvm.backups")

LOOK_S: Final = 5.0
"""Between looks, where no commit woke it."""


class BackupRestores:
    def __init__(
        self, store: Store, fleet: Fleet, announce: Announcer, backups: Backups, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._announce = announce
        self._backups = backups
        self._clock = clock
        self._lock = anyio.Lock()  # From the look whether one is open to the commit of one more
        self._due = anyio.Event()

    async def start(
        self, machine: Machine, row: BackupRow, asked: RestoreAsked, by: Actor, *, safety: bool
    ) -> RestoreRow:
        """Committed with its command, or with its safety backup. Raises Refused and a StoreError."""
        async with self._lock:
            await self.turn()  # of a preview that is over the row may be open yet
            kept = await rows.kept(self._store, machine.id)
            code = rules.why_not(machine, row, kept, await rows.open_restores(self._store))
            if code is not None:
                raise Refused(code, 409, code)
            if not machine.linked:
                raise Refused("machine_offline", 409, "the machine is not connected now")
            if safety and not asked.dry_run:
                wanted, now = Wanted("incremental", True, True, trigger="safety", reason=asked.reason), self._clock()
                stored = await self._backups.start_with(
                    machine, wanted, by, lambda saved: rules.prepared(row, saved, asked, by, now)
                )
            else:
                stored = await self._announce(*rules.commanded(machine, row, asked, by, self._clock()))
        return next(put_rows(stored, RestoreRow))

    def on_commit(self, changes: Sequence[Change]) -> None:
        restored = any(row.name == rules.RESTORE and row.state in TERMINAL for row in moved_rows(changes, CommandRow))
        if restored or any(row.trigger == "safety" for row in moved_rows(changes, BackupRow)):
            self._due.set()

    async def run(self) -> None:
        retry = RetryUntilAvailable("restores that may go on")
        while True:
            await retry(self.turn)
            with anyio.move_on_after(LOOK_S):
                await self._due.wait()
            self._due = anyio.Event()

    async def turn(self) -> None:
        """Raises Unavailable."""
        for restore in await rows.open_restores(self._store):
            await self._move(restore)

    async def _move(self, restore: RestoreRow) -> None:
        try:
            changes = await self._next(restore)
            if changes:
                await self._announce(*changes)
        except Conflict as late:
            logger.info("restore %d has moved meanwhile: %s", restore.id, late)

    async def _next(self, restore: RestoreRow) -> list[Change]:
        machine = self._fleet.machines.get(restore.rvm_id)
        if restore.state == rules.RUNNING:
            return rules.after_command(restore, await self._command(restore.command_id or ""), self._clock())
        safety = await rows.find(self._store, restore.safety_backup_id or 0)
        changes = rules.after_safety(restore, machine, safety, self._clock())
        if changes and not await self._still_may(restore):
            return rules.ended(restore, "cancelled", self._clock(), error={"code": "not_allowed_any_more"})
        return changes

    async def _command(self, command_id: str) -> CommandRow | None:
        return self._fleet.command(command_id) or await commands.find_command(self._store, command_id)

    async def _still_may(self, restore: RestoreRow) -> bool:
        """Asked again, as a safety backup may take hours."""
        user_id = actors.user_of(restore.requested_by)
        return user_id is None or still_may(await users.find_user(self._store, user_id), restore.rvm_id)
