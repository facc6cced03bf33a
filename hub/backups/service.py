"""Asks machines for backups, joins the parts of uploads, and ends what its command has ended. Knows no request and
no page."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import anyio
from anyio.abc import TaskGroup

from db.backup_records import BACKUP_COUNTER, BackupPartRow, BackupRow
from db.engine.store import Store
from db.errors import Conflict, Rejected, StoreError, Unavailable
from db.queries import backups as rows
from db.queries import commands
from db.records import CommandRow, is_open
from hub.backups.rules import life
from hub.backups.rules.life import Announced, Archive, Room, Wanted
from hub.kernel.announce import Announcer
from hub.kernel.loading import recall_issued
from hub.kernel.objects.place import PART_SIZE, ObjectDamagedError, ObjectMissingError, ObjectsError
from hub.kernel.objects.store import Objects
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors, credentials
from hub.model.actors import Actor
from hub.model.backups import remembered
from hub.model.changes import Change, moved_rows, put_rows
from hub.model.fleet import TERMINAL, Fleet
from hub.model.machine import Machine
from hub.settings import Settings

logger = logging.getLogger("myrvm.backups")

GIB: Final = 1024**3
LOOK_S: Final = 5.0
"""Between looks, where no commit woke it."""
SWEEP_FIRST_S: Final = 60.0
SWEEP_EVERY_S: Final = 3600.0
UNCLAIMED: Final = timedelta(hours=2)
"""An upload without a row is left alone for so long: its row may be on its way."""
PREFIX: Final = "backups/"
TRIES: Final = 5
"""For a number, while another process draws one."""
ROOM_S: Final = 2.0
"""So long one look counts for the parts that come: no flood of reads."""


class Backups:
    """`start` for people, machines and the clock; `run` does what is due."""

    def __init__(
        self, settings: Settings, store: Store, fleet: Fleet, announce: Announcer, objects: Objects,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self.objects = objects
        self.store = store
        self.announce = announce
        self._settings = settings
        self._fleet = fleet
        self._clock = clock
        self._last_id = 0
        self._lock = anyio.Lock()  # From the look whether one is open to the commit of one more; numbers
        self._assembling: set[int] = set()  # Bound: the open backups, one a machine
        self.receiving: set[str] = set()  # Bound: MOST_MULTIPART. Keys of archives that have no row yet
        self._rooms: dict[int, tuple[float, Room]] = {}  # Bound: the backups whose parts came within ROOM_S
        self._due = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def load(self) -> None:
        await self._catch_up()

    async def start(
        self, machine: Machine, wanted: Wanted, by: Actor, key: str | None = None
    ) -> tuple[BackupRow, CommandRow]:
        """Committed with its command. Raises Refused and a StoreError."""
        stored = await self.start_with(machine, wanted, by, lambda _: (), key)
        return next(put_rows(stored, BackupRow)), next(put_rows(stored, CommandRow))

    async def start_with(
        self,
        machine: Machine,
        wanted: Wanted,
        by: Actor,
        also: Callable[[BackupRow], Sequence[Change]],
        key: str | None = None,
    ) -> Sequence[Change]:
        """Committed with its command and with what waits for it (`also`): killed in between there is neither. Raises
        Refused and a StoreError."""

        def drafted(number: int) -> Sequence[Change]:
            changes = life.drafted(machine, number, wanted, by, self._clock(), key)
            return [*changes, *also(next(put_rows(changes, BackupRow)))]

        async with self._lock:
            return await self._numbered(drafted)

    async def draw(self) -> int:
        """A number that nobody else gets. Raises a StoreError."""
        async with self._lock:
            await self._numbered(life.numbered)
            return self._last_id

    async def _numbered(self, changes_of: Callable[[int], Sequence[Change]]) -> Sequence[Change]:
        """Committed with the next number. The command line gives numbers, too: where it was first, the hub learns what
        it has asked for and decides again."""
        tries = TRIES
        while True:
            drawn, tries = self._last_id + 1, tries - 1
            try:
                stored = await self.announce(*changes_of(drawn))
            except Conflict as late:
                if late.column != BACKUP_COUNTER or not tries:
                    raise
                await self._catch_up()
            else:
                self._last_id = drawn
                return stored

    async def _catch_up(self) -> None:
        newest = await rows.last_id(self.store)
        foreign = [
            row.command_id
            for row in await rows.unfinished(self.store)
            if row.rvm_id in self._fleet.machines and row.id not in self._fleet.machines[row.rvm_id].backups
        ]
        await recall_issued(self.announce, self.store, foreign)
        self._last_id = newest  # last: a number alone would let a second backup beside the unknown one pass

    async def room(self, rvm_id: int, but: BackupRow | None = None) -> Room:
        """Left beside all that is kept; parts of `but` do not count."""
        kept = await rows.bytes_kept(self.store, rvm_id, 0 if but is None else but.id)
        s = self._settings
        return Room(s.backup_max_gib * GIB, s.backup_quota_gib * GIB, s.backup_fleet_quota_gib * GIB, *kept)

    async def room_for_parts(self, row: BackupRow) -> Room:
        """`room` without its parts, as it was ROOM_S ago at most."""
        now = anyio.current_time()
        self._rooms = {number: known for number, known in self._rooms.items() if now - known[0] < ROOM_S}
        if row.id not in self._rooms:
            self._rooms[row.id] = now, await self.room(row.rvm_id, row)
        return self._rooms[row.id][1]

    async def begin(self, row: BackupRow, announced: Announced, parent: BackupRow | None) -> BackupRow:
        """With an upload open in the store. Raises ObjectsError, Conflict when it has ended, and a StoreError."""
        if life.goes_on(row, announced):
            changes = life.announced_again(row, announced, parent)
            return next(moved_rows(await self.announce(*changes), BackupRow), row) if changes else row
        key = life.key_of(row, announced, credentials.random_hex(8))
        upload_id = await self.objects.begin(key)
        begun = life.begun(
            row, announced, parent, key=key, upload_id=upload_id, part_size=PART_SIZE, now=self._clock()
        )  # fmt: skip
        try:
            stored = await self.announce(*begun)
        except BaseException:
            await self.discard(key, upload_id)
            raise
        await self.discard(row.file_path, row.upload_id)
        return next(moved_rows(stored, BackupRow))

    def assemble(self, row: BackupRow, declared: Archive, parts: Sequence[BackupPartRow]) -> None:
        """Begin to join the parts; the row shows the outcome. Nothing happens while it is joining already."""
        if row.id not in self._assembling and self._tasks is not None:
            self._assembling.add(row.id)
            self._tasks.start_soon(self._assemble, row, declared, parts)

    async def _assemble(self, row: BackupRow, declared: Archive, parts: Sequence[BackupPartRow]) -> None:
        try:
            found = await self._joined(row, declared, parts)
            if not found or declared.sha256 not in ("", found):
                code = "incomplete" if found is None else "damaged"
                await self.end(row, life.failed(row, code, actors.SYSTEM, self._clock()))
                return
            whole = declared._replace(sha256=found, minio_path=self.minio_path(row.file_path or ""))
            await self.announce(*life.completed(row, whole, self._clock()))
        except Conflict as ended:
            logger.info("backup %d ended while it was put together: %s", row.id, ended)
        except (ObjectsError, StoreError) as away:
            # The machine asks again.
            logger.warning("backup %d cannot be put together now: %s", row.id, away)
        finally:
            self._assembling.discard(row.id)

    async def _joined(self, row: BackupRow, declared: Archive, parts: Sequence[BackupPartRow]) -> str | None:
        """sha256 of what the store holds; None: of another size, "": not the parts that came. Of an archive that an
        earlier life of the machine began nobody knows another sum."""
        key = row.file_path or ""
        sums = () if declared.sha256 else [part.sha256 for part in parts]
        try:
            with contextlib.suppress(ObjectMissingError):  # a call before has done it, and its answer was lost
                await self.objects.complete(key, row.upload_id or "", [(part.number, part.tag) for part in parts])
            is_whole = await self.objects.size(key) == declared.size
            return await self.objects.digest(key, sums) if is_whole else None
        except ObjectMissingError:
            return None
        except ObjectDamagedError as damaged:
            logger.warning("backup %d is damaged in the store: %s", row.id, damaged)
            return ""

    def minio_path(self, key: str) -> str | None:
        place = self._settings.s3
        return None if place is None else f"{place.bucket}/{place.prefix}{key}"

    async def delete(self, row: BackupRow, by: Actor, *, why: str | None = None) -> None:
        """Bytes first: what a killed hub leaves is swept. Raises ObjectsError, Conflict when it was deleted already,
        and a StoreError."""
        for key in (row.file_path, row.manifest_key):
            if key is not None:
                await self.objects.delete(key)
        await self.announce(*life.deleted(row, by, self._clock(), why))
        await recall_good(self.announce, self.store, row.rvm_id)

    async def end(self, row: BackupRow, changes: Sequence[Change]) -> None:
        """Nothing happens when it had ended. Raises a StoreError."""
        try:
            if changes:
                await self.announce(*changes)
                await self.discard(row.file_path, row.upload_id)
        except (Conflict, Rejected) as ended:
            logger.info("backup %d had ended: %s", row.id, ended)

    async def discard(self, key: str | None, upload_id: str | None) -> None:
        """Take it out of the store. What stays is swept."""
        with contextlib.suppress(ObjectsError):
            if key is not None and upload_id:
                await self.objects.abort(key, upload_id)
            if key is not None:
                await self.objects.delete(key)

    def on_commit(self, changes: Sequence[Change]) -> None:
        if any(row.name == life.START and row.state in TERMINAL for row in moved_rows(changes, CommandRow)):
            self._due.set()

    async def run(self) -> None:
        retry = RetryUntilAvailable("backups whose command has ended")
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._sweep_on)
            while True:
                with anyio.move_on_after(LOOK_S):
                    await self._due.wait()
                self._due = anyio.Event()
                await retry(self.keep)

    async def keep(self) -> None:
        """Raises Unavailable."""
        for machine in list(self._fleet.machines.values()):
            for row in [row for row in machine.backups.values() if is_open(row)]:
                if row.command_id not in self._fleet.open and row.id not in self._assembling:
                    await self._settle(row)

    async def _settle(self, row: BackupRow) -> None:
        try:
            command = None if row.command_id is None else await commands.find_command(self.store, row.command_id)
            await self.end(row, life.settled(row, command, self._clock()))
        except Unavailable:
            raise
        except StoreError as refused:
            logger.warning("the database refuses the end of backup %d: %s", row.id, refused)

    async def _sweep_on(self) -> None:
        await anyio.sleep(SWEEP_FIRST_S)
        while True:
            try:
                await self.sweep()
            except (ObjectsError, StoreError) as away:
                logger.warning("unclaimed uploads of backups are looked for later: %s", away)
            await anyio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Remove uploads without an open backup, and archives of failed or deleted ones; returns how many. What no
        row knows stays. Raises ObjectsError and a StoreError."""
        uploading = {row.upload_id for row in await rows.unfinished(self.store) if row.upload_id is not None}
        swept = await self.objects.sweep(PREFIX, self._clock() - UNCLAIMED, uploading)
        there = frozenset(await self.objects.list(PREFIX)) - self.receiving
        gone = there & await rows.keys_gone(self.store)
        for key in sorted(gone):
            await self.objects.delete(key)
        unknown = there - gone - await rows.keys_there(self.store)
        if swept or gone or unknown:
            logger.info(
                "backups in the store: %d unfinished uploads and %d archives of no use swept, %d unknown objects left",
                swept, len(gone), len(unknown),
            )  # fmt: skip
        return swept + len(gone)

    def is_assembling(self, row: BackupRow) -> bool:
        return row.id in self._assembling


async def recall_good(announce: Announcer, store: Store, rvm_id: int) -> None:
    """After a deletion or a failed drill an older one may be the last good one."""

    async def read() -> Iterable[BackupRow]:
        return remembered(await rows.kept(store, rvm_id)).values()

    await announce.recall(read)
