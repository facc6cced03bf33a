"""Backups on a real database and in a real folder or S3 store, with a clock that is set and machines that are there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from archive.manifest import Header
from db.backup_records import BackupRow
from db.queries import backups as rows
from db.records import MachineRow
from hub.backups.drill import Drills
from hub.backups.keeper import GIB, BackupKeeper
from hub.backups.service import Backups
from hub.kernel.objects.store import Objects
from hub.lifespan import Engine, utc_now
from hub.model.changes import Change, EventHappened, Put, put_rows
from hub.model.machine import Machine
from hub.settings import Settings
from tests.support.archives import Item, archive, header
from tests.support.engine_life import engine_life
from tests.support.machines import machine as drafted

COMMANDS = ("start_backup", "verify_backup")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class BackupRoom:
    """`ahead` is how far the clock is ahead, `changes` what was committed since the beginning."""

    def __init__(self, engine: Engine, objects: Objects, folder: Path, settings: Settings) -> None:
        self.engine = engine
        self.objects = objects
        self.ahead = timedelta()
        self.changes: list[Change] = []
        self.scratch = folder / "scratch"
        self._folder = folder
        engine.announce.listen(self.changes.extend)
        self.drills = self.new_drills()
        self.backups = Backups(settings, engine.store, engine.fleet, engine.announce, objects, self.clock)
        self.keeper = self.new_keeper()

    def new_keeper(self, at_once: int = 4, quota: int = GIB, fleet_quota: int = 0) -> BackupKeeper:
        return BackupKeeper(
            self.backups, self.engine.store, self.engine.fleet, self.clock, zone="Asia/Jakarta", at_once=at_once,
            quota=quota, fleet_quota=fleet_quota,
        )  # fmt: skip

    def new_drills(self, room: int = 10**9) -> Drills:
        """As another hub life has them."""
        engine = self.engine
        drills = Drills(engine.store, engine.fleet, engine.announce, self.objects, self.clock, self.scratch, room)
        engine.announce.listen(drills.on_commit)
        return drills

    def clock(self) -> datetime:
        return utc_now() + self.ahead

    async def add_machine(self, name: str = "Lobby", **members: Any) -> Machine:
        """One that is connected and can make backups."""
        values = {"capabilities": COMMANDS, "api_key": None, "api_key_prefix": None, **members}
        row = drafted(0, name=name, device_id=name.lower(), **values).row
        stored = next(put_rows(await self.engine.announce(Put(row)), MachineRow))
        found = self.engine.fleet.machines[stored.id]
        found.linked = True
        return found

    async def add(self, row: BackupRow) -> BackupRow:
        await self.engine.announce(Put(row))
        return row

    async def add_archive(
        self, machine: Machine, number: int, items: Sequence[Item], *before: int, content: bytes | None = None,
        **members: Any,
    ) -> BackupRow:  # fmt: skip
        """A backup that is whole in the store; `content`: other bytes than the archive's."""
        head: Header = header(number, *before, rvm_id=machine.id)
        data = archive(head, items)
        path, key = self._folder / f"{number}.tar.gz", f"backups/{machine.id}/{number}-0.tar.gz"
        path.write_bytes(data if content is None else content)
        await self.objects.put_file(key, path, hashlib.sha256(path.read_bytes()).hexdigest())
        values = {
            "backup_type": head.backup_type, "parent_id": head.parent_id, "chain_id": head.chain[0],
            "chain_position": len(before), "upload_status": "completed", "file_path": key, "file_size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(), "created_at": self.clock(), "completed_at": self.clock(),
            "bytes_total": sum(item.entry.size for item in items), **members,
        }  # fmt: skip
        return await self.add(BackupRow(id=number, rvm_id=machine.id, **values))

    async def row(self, number: int) -> BackupRow:
        found = await rows.find(self.engine.store, number)
        assert found is not None
        return found

    def events(self, code: str) -> list[EventHappened]:
        return [change for change in self.changes if isinstance(change, EventHappened) and change.code == code]


@asynccontextmanager
async def backup_room(folder: Path, database_url: str, objects: Objects) -> AsyncIterator[BackupRoom]:
    async with engine_life(folder, database_url) as (engine, settings):
        made = BackupRoom(engine, objects, folder, settings)
        await made.backups.load()
        yield made
