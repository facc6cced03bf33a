"""A BackupClient with real children against a hub's endpoints in this process, without a link."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.backups.service import BackupClient
from device.commands.jobs import Job, Result
from device.journal.rules import Ending
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings, load
from device.texts import texts_in
from protocol.commands import StartBackup, VerifyBackup
from protocol.messages import Progress
from tests.support.fake_backups import FakeBackups, fake_backups
from tests.support.fake_hub import KEY

MIB = 1024 * 1024


@dataclass
class ClientBench:
    """`source` is the one folder that is backed up; `phases` are those that were reported, each once in a row."""

    folder: Path
    hub: FakeBackups
    given: dict[str, Any] = field(default_factory=dict)
    is_customer: bool = False
    behind_s: float = 0.0

    def __post_init__(self) -> None:
        self.source = self.folder / "photos"
        self.source.mkdir(exist_ok=True)
        self.disk = WorkerThread("disk")
        self.log = io.StringIO()
        self.progress: list[Progress] = []
        self.settings = self.set()
        self.client = self.anew()

    def set(self, **given: Any) -> AgentSettings:
        self.given |= given
        file = self.folder / "machine.json"
        sources = {"photos": {"path": str(self.source), "class": "images"}}
        values = {"myrvm_base_url": self.hub.url, "api_token": KEY, "rvm_id": "rvm-1", "backup_sources": sources}
        file.write_text(json.dumps(values | self.given))
        self.settings = load(file, {})
        return self.settings

    def anew(self) -> BackupClient:
        """As after a restart of the agent."""

        async def is_customer() -> bool:
            return self.is_customer

        log = Log(texts_in("en"), KEY, {}, self.log)
        self.client = BackupClient(lambda: self.settings, self.disk, log, is_customer, lambda: self.behind_s)
        return self.client

    @property
    def phases(self) -> list[str]:
        found: list[str] = []
        for progress in self.progress:
            if not found or found[-1] != progress.phase:
                found.append(progress.phase)
        return found

    def job(self, lasts_s: float = 60.0) -> Job:
        async def begin(_: Ending) -> None:
            """Nothing is begun before its end."""

        return Job("c1", time.monotonic() + lasts_s, begin, self.progress.append)

    async def back_up(self, backup_id: int = 1, kind: Any = "full", job: Job | None = None) -> Result:
        args = StartBackup(backup_id=backup_id, backup_type=kind, include_images=True, include_logs=True)
        return await asyncio.wait_for(self.client.start_backup(args, job or self.job()), 60)

    async def verify(self, backup_id: int) -> Result:
        return await asyncio.wait_for(self.client.verify_backup(VerifyBackup(backup_id=backup_id), self.job()), 60)

    def fill(self, name: str, size: int, seed: int = 1) -> Path:
        """What no compression makes smaller."""
        file = self.source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(seed).randbytes(size))
        return file


@contextlib.contextmanager
def client_bench(folder: Path, **given: Any) -> Iterator[ClientBench]:
    with fake_backups() as hub:
        made = ClientBench(folder, hub, given)
        yield made
        made.disk.stop()
