"""Drills backups, one at a time: a child process restores them and compares every file. What the hub cannot read its
machine checks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from db.backup_records import BackupRow
from db.engine.store import Store
from db.errors import Conflict, StoreError
from db.queries import backup_drills, backups
from db.records import TERMINAL_STATES, CommandRow
from hub.backups.check import MANIFESTS, ArchiveBytes, NotCheckedError, check, clean
from hub.backups.rules import drill as rules
from hub.backups.rules import life
from hub.backups.service import recall_good
from hub.commands import rules as command_rules
from hub.kernel.announce import Announcer
from hub.kernel.objects.place import ObjectMissingError, ObjectsError
from hub.kernel.objects.store import Objects, digest
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors
from hub.model.backups import UPLOAD
from hub.model.changes import Change, Put, moved_rows
from hub.model.fleet import Fleet

logger = logging.getLogger("myrvm.backups")

LOOK_S: Final = 60.0
"""Between looks; sooner when something was completed or asked for."""
PAGE: Final = 200
VERIFY: Final = "verify_backup"


class Drills:
    """`room`: bytes that the scratch folder may take; 0: the hub unpacks nothing."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        announce: Announcer,
        objects: Objects,
        clock: Callable[[], datetime],
        scratch: Path,
        room: int,
    ) -> None:  # fmt: skip
        self._store = store
        self._fleet = fleet
        self._announce = announce
        self._objects = objects
        self._clock = clock
        self._scratch = scratch
        self._room = room
        self._retry = RetryUntilAvailable("restore drills", StoreError, ObjectsError, first_s=5.0, most_s=300.0)
        self._work = asyncio.Event()
        self._ended: list[CommandRow] = []  # Bound: the drills of machines, one a machine, until the next look
        self.running: int | None = None

    def wake(self) -> None:
        self._work.set()

    def on_commit(self, changes: Sequence[Change]) -> None:
        """Wake after a machine's drill or a completed backup."""
        ended = [c for c in moved_rows(changes, CommandRow) if c.name == VERIFY and c.state in TERMINAL_STATES]
        self._ended += ended
        if ended or any(isinstance(getattr(change, "row", None), BackupRow) for change in changes):
            self.wake()

    async def run(self) -> None:
        await anyio.to_thread.run_sync(clean, self._scratch)
        while True:
            self._work.clear()
            await self._retry(self.turn)
            with anyio.move_on_after(LOOK_S):
                await self._work.wait()

    async def turn(self) -> None:
        """Drill all that is due. Raises StoreError or ObjectsError when the rest has to wait."""
        await self._take_results()
        while (row := await self._next()) is not None:
            await self._drill(row)
            await self._take_results()

    async def is_readable(self, row: BackupRow) -> bool:
        if row.encrypted or not self._room:
            return False
        chain = rules.chain_of(row, await self._stored(row))
        return chain is None or rules.is_readable(chain, self._room)

    async def _stored(self, row: BackupRow) -> dict[int, BackupRow]:
        return {one.id: one for one in await backups.kept(self._store, row.rvm_id)}

    async def _next(self) -> BackupRow | None:
        """The oldest that the hub can drill, else the week's; machines are asked for the others on the way."""
        after, now = 0, self._clock()
        while page := await backup_drills.undrilled(self._store, now - rules.AGAIN, after, PAGE):
            for row in page:
                after = row.id
                if await self.is_readable(row):
                    return row
                await self._ask_machine(row)
        return await self._of_the_week(now)

    async def _of_the_week(self, now: datetime) -> BackupRow | None:
        """The first week begins with this hub's first look."""
        last = await backup_drills.last_drill(self._store)
        if last is not None and not rules.is_week_over(last, now):
            return None
        mark = Put(backup_drills.drill_mark(now), over=("value",))
        chosen = None if last is None else await backup_drills.any_good(self._store, random.random())  # noqa: S311 - any one will do
        await self._announce(mark, *(() if chosen is None else rules.asked(chosen, actors.CLOCK, now)))
        return chosen if chosen is not None and await self.is_readable(chosen) else None

    async def _ask_machine(self, row: BackupRow) -> None:
        machine = self._fleet.machines.get(row.rvm_id)
        if machine is None or VERIFY not in machine.capabilities or not machine.linked:
            return
        if any(command.name == VERIFY for command in machine.pending.values()):
            return
        with contextlib.suppress(command_rules.Refused, Conflict):
            args = {"backup_id": row.id}
            await self._announce(*command_rules.draft(machine, VERIFY, args, actors.CLOCK, self._clock()))

    async def _take_results(self) -> None:
        while self._ended:
            command = self._ended[0]
            row = await backups.find(self._store, int(command.args["backup_id"]))
            if row is not None and row.rvm_id == command.rvm_id and row.deleted_at is None:
                await self._record(await self._by_machine(row, command))
            self._ended.pop(0)

    async def _by_machine(self, row: BackupRow, command: CommandRow) -> list[Change]:
        """What its machine found; which archive of the chain it is, the store shows. Raises ObjectsError."""
        if command.state != "succeeded":
            stored = await self._stored(row)
            chain = rules.chain_of(row, stored) or [row]
            is_damage = (command.error or {}).get("code") in rules.DAMAGE
            for place, one in enumerate(chain):
                if not await self._is_kept(one, compared=is_damage):
                    return rules.failed(chain, rules.lost(place), actors.CLOCK, self._clock(), stored.values())
        return rules.of_command(row, command.state, command.error, command.result, self._clock())

    async def _is_kept(self, row: BackupRow, *, compared: bool) -> bool:
        key = row.file_path or ""
        with contextlib.suppress(ObjectMissingError):
            if await self._objects.size(key) == row.file_size:
                return not compared or row.sha256 in (None, await self._objects.digest(key))
        return False

    async def _drill(self, row: BackupRow) -> None:
        stored = await self._stored(row)
        self.running = row.id
        try:
            await self._record(await self._outcome(row, stored))
        except NotCheckedError as why:
            logger.warning("backup %d was not drilled: %s", row.id, why)
            await self._record(rules.put_off(row, self._clock()))
        finally:
            self.running = None
        await recall_good(self._announce, self._store, row.rvm_id)

    async def _record(self, changes: Sequence[Change]) -> None:
        try:
            await self._announce(*changes)
        except Conflict:
            logger.info("a backup was deleted while it was drilled")

    async def _outcome(self, row: BackupRow, stored: dict[int, BackupRow]) -> list[Change]:
        """Raises NotCheckedError, ObjectsError."""
        chain = rules.chain_of(row, stored)
        if chain is None and row.trigger == UPLOAD and row.parent_id is None:
            raise NotCheckedError("a simple client sent it, and what it builds on is unknown")
        if chain is None:
            return rules.failed([row], rules.BROKEN, actors.CLOCK, self._clock(), stored.values())
        manifest = self._scratch / f"{MANIFESTS}{row.id}.gz"
        try:
            archives = [self._archive(one) for one in chain]
            found = await check(archives, self._scratch, self._room, manifest, rules.time_for(chain))
            damage = rules.damage_of(chain, found)
            if damage is not None:
                return rules.failed(chain, damage, actors.CLOCK, self._clock(), stored.values())
            if found["event"] != "done":
                raise NotCheckedError(f"{found.get('code')}: {found.get('detail')}")
            key = life.manifest_key_of(row)
            await self._objects.put_file(key, manifest, await anyio.to_thread.run_sync(digest, manifest))
            return rules.passed(row, actors.CLOCK, self._clock(), key, found)
        finally:
            await anyio.Path(manifest).unlink(missing_ok=True)

    def _archive(self, row: BackupRow) -> ArchiveBytes:
        key = row.file_path or ""
        path = self._objects.local_path(key)
        # A file that is gone shall be missed by the store, which says so of this archive.
        return path if path is not None and path.is_file() else lambda: self._objects.stream(key)
