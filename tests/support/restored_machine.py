"""A machine with two sources on a real disk, its backups, and what its agent restores with."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from archive.errors import ArchiveError
from device.backups.control import ChildFailedError
from device.backups.restore import Restores
from device.backups.restore_places import StageResult, StageWanted
from device.backups.restore_stage import stage
from device.commands.jobs import Job, WorkFailedError
from device.journal.rules import Ending
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings, load
from device.system.bus import SystemBus
from device.texts import texts_in
from protocol.commands import RestoreBackup
from protocol.messages import Progress
from tests.support.backup_archives import Machine, picture

OLD = b"as it was"


class RestoredMachine:
    """A machine with two sources, its backups, and what its agent restores with."""

    def __init__(self, place: Path, **values: Any) -> None:
        self.place = place
        self.state_dir = place / "state"
        self.state_dir.mkdir(parents=True)
        self.roots = {"app": place / "srv" / "app", "conf": place / "srv" / "conf"}
        for name, root in self.roots.items():
            (root / "sub").mkdir(parents=True)
            for number in range(3):
                (root / f"{name}-{number}").write_bytes(OLD)
            (root / "sub" / "deep").write_bytes(OLD)
        (self.roots["app"] / "link").symlink_to("sub/deep")
        self.archives: dict[int, bytes] = {}
        self.manifests: dict[int, bytes] = {}
        self.machine = Machine(place / "backups", self.roots)
        sources = {
            "app": {"path": str(self.roots["app"]), "class": "data", "exclude": ["*.tmp", "cache"]},
            "conf": {"path": str(self.roots["conf"]), "class": "configuration"},
        }
        config = {
            "myrvm_base_url": "http://127.0.0.1:9", "allow_plain_http": True, "api_token": "rvmk_" + "k" * 40,
            "rvm_id": "jetson-7",
            "state_dir": str(self.state_dir), "backup_sources": sources, **values,
        }  # fmt: skip
        (place / "machine.json").write_text(json.dumps(config))
        (place / "machine.json").chmod(0o600)
        self.settings: AgentSettings = load(place / "machine.json", {})
        self.phases: list[tuple[str, float | None, float | None]] = []
        self.begun: list[str] = []
        self.busy = [False]
        self.restores = self.agent()

    def agent(self) -> Restores:
        log = Log(texts_in("en"), "k", {}, io.StringIO())
        bus = SystemBus(allowed=True)

        async def is_busy() -> bool:
            return self.busy[0]

        return Restores(lambda: self.settings, WorkerThread("disk"), bus, log, is_busy, self.staged, asyncio.Lock())

    async def staged(self, wanted: StageWanted, job: Job) -> StageResult:
        job.check()
        try:
            return stage(
                wanted, lambda backup_id: io.BytesIO(self.archives[backup_id]), lambda _phase, _done: None, self.listed
            )
        except ArchiveError as wrong:
            raise WorkFailedError(wrong.code, str(wrong)) from wrong

    def fetch(self, backup_id: int) -> io.BytesIO:
        return io.BytesIO(self.archives[backup_id])

    def listed(self, backup_id: int) -> io.BytesIO:
        if backup_id not in self.manifests:
            raise ChildFailedError("hub_refused", "there is none")
        return io.BytesIO(self.manifests[backup_id])

    def back_up(self, **options: Any) -> int:
        made = self.machine.back_up(exclude=("*.tmp", "cache"), **options)
        self.archives[self.machine.chain[-1]] = made.data
        return self.machine.chain[-1]

    def job(self, name: str = "cmd-1", seconds: float = 100.0) -> Job:
        async def begin(_ending: Ending) -> None:
            self.begun.append(name)

        def report(progress: Progress) -> None:
            self.phases.append((progress.phase, progress.done, progress.total))

        return Job(name, time.monotonic() + seconds, begin, report)

    async def restore(self, backup_id: int, *, job: Job | None = None, **args: Any) -> dict[str, Any]:
        wanted = RestoreBackup(backup_id=backup_id, dry_run=args.pop("dry_run", False), **args)
        return await self.restores.restore_backup(wanted, job or self.job())

    def picture(self) -> dict[str, tuple[Any, ...]]:
        return picture(self.place / "srv")

    def ruin(self) -> None:
        """What happens to machines: changed, added, deleted."""
        (self.roots["app"] / "app-0").write_bytes(b"changed, and longer")
        (self.roots["app"] / "app-1").unlink()
        (self.roots["app"] / "new").write_bytes(b"new")
        (self.roots["conf"] / "conf-0").write_bytes(b"broken")


def left_over(world: RestoredMachine) -> list[str]:
    """Staging folders that should be gone."""
    return sorted(path.name for path in world.place.rglob(".myrvm*"))


def abandon(database: Path, word: str) -> None:
    """Written by a program that is killed: what it committed stands in the log beside it."""
    written = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('pragma journal_mode=wal')\n"
        "c.execute('create table if not exists t(v)')\n"
        "[c.execute('insert into t values (?)', sys.argv[2:]) for _ in range(300)]\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", written, str(database), word], check=True)
