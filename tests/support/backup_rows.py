"""Backups recorded in a hub in this process as they would be after a machine made them. No machine, no store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from db.backup_records import BackupRow
from hub.backups.drill import Drills
from hub.backups.keeper import BackupKeeper
from hub.backups.rules.life import Wanted
from hub.backups.service import Backups
from hub.model.changes import Put, move, moved_rows, put_rows
from tests.support.api_hub import ApiHub, api_hub

BACKUPS = "/machines/1/backups"
EVIL = '"><script>alert(1)</script>&amp;{{7*7}}'
"""What nobody's name, reason or file may do to a page."""


async def rest(_self: object) -> None:
    """What else would run by the clock."""
    await anyio.sleep_forever()


async def backup(hub: ApiHub, number: int, hours: float = 1.0, state: str = "verified", **members: Any) -> BackupRow:
    """The backup with that id, begun so long ago; `state` as the upload ended."""
    while await hub.context[Backups].draw() < number:
        """The next one that is asked for comes after it."""
    began = hub.context.clock() - timedelta(hours=hours)
    ended = began + timedelta(seconds=95)
    values: dict[str, Any] = {
        "id": number, "rvm_id": 1, "backup_type": "full", "upload_status": state, "created_at": began,
        "started_at": began, "trigger": "schedule", "requested_by": "clock", "chain_id": number, "chain_position": 0,
        "include_images": True, "include_logs": True, "compression": "gzip",
    }  # fmt: skip
    if state in ("completed", "verified"):
        values |= {
            "file_path": f"backups/1/{number}-0.tar.gz", "file_size": 214_000_000, "sha256": "0" * 64, "files": 1234,
            "bytes_total": 340_000_000, "entries": 1300, "completed_at": ended,
        }  # fmt: skip
    if state == "verified":
        values |= {"verified_at": ended + timedelta(minutes=2), "drill_at": ended + timedelta(minutes=2)}
    if state == "failed":
        values |= {"completed_at": ended, "error": {"code": "disk_full", "message": "no room"}}
    made = BackupRow(**{**values, **members})
    (stored,) = put_rows(await hub.context.announce(Put(made)), BackupRow)
    return stored


async def open_backup(hub: ApiHub, **members: Any) -> BackupRow:
    """One that the machine is making, with its command: without one it would have failed by the next look."""
    row, _ = await hub.context[Backups].start(hub.context.fleet.machines[1], Wanted(), "clock")
    moved = await hub.context.announce(move(row, upload_status="uploading", **members))
    return next(moved_rows(moved, BackupRow))


@asynccontextmanager
async def backed_up_hub(folder: Path, database_url: str, patch: pytest.MonkeyPatch) -> AsyncIterator[ApiHub]:
    """With everybody, and a first machine that is connected and can be backed up and restored. Rows without archives
    stay as they were put, and nothing begins by the clock."""
    patch.setattr(Drills, "run", rest)
    patch.setattr(BackupKeeper, "run", rest)
    async with api_hub(folder, database_url=database_url) as made:
        await made.add_everybody()
        machine = made.context.fleet.machines[1]
        machine.linked, machine.connection = True, "live"
        machine.row = msgspec.structs.replace(machine.row, capabilities=("start_backup", "restore_backup"))
        yield made


async def send(client: httpx.AsyncClient, path: str, **given: Any) -> httpx.Response:
    """A form of a page."""
    return await client.post(path, data={**given, "csrf_token": client.headers["X-CSRF-Token"]})
