"""BackupClient: archives and uploads this machine's data when the hub asks, in a child process that yields to all else.

A cut backup goes on at the last part that the hub confirmed: its command comes again after a restart."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from device.backups.control import FOLDER, IDENTITY, Assignment, ChildReport, HubAddress, Yielding
from device.backups.process import Child
from device.backups.restore_places import StageResult, StageWanted
from device.backups.rules import MAX_RUN_S, ControlWatch, fitting_result, prolonged_s
from device.commands.jobs import Job, Result, WorkCancelledError, WorkFailedError, WorkHandler, WorkRejectedError
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, wait_at_most
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings
from device.system.clock import utc_now
from protocol.commands import StartBackup, VerifyBackup

LOOK_EVERY_S: Final = 0.25
MAX_CRASHES: Final = 5
"""Of the child in a row without progress; more end the backup."""
TURN_EVERY_S: Final = 1.0
WAITING_EVERY_S: Final = 20.0
LEAST_S: Final = 0.5
"""A backup fails so long before the deadline, so that its cause is known."""


class BackupClient:
    """`is_customer`: a return session is open; `oldest_s`: age of the control link's oldest unanswered frame.
    One backup or check at a time."""

    def __init__(
        self,
        settings: Callable[[], AgentSettings],
        disk: WorkerThread,
        log: Log,
        is_customer: Callable[[], Awaitable[bool]],
        oldest_s: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._disk = disk
        self._log = log
        self._is_customer = is_customer
        self._oldest_s = oldest_s
        self.turn = asyncio.Lock()
        """Held while a backup is made, checked or restored."""
        self.pid: int | None = None

    @property
    def _folder(self) -> Path:
        return self._settings().state_dir / FOLDER

    async def open(self) -> None:
        """Remove what an earlier life left of a backup that cannot go on any more: its lists, and its key."""
        await self._disk.call(drop_ended, self._folder, time.time())

    def handlers(self) -> dict[str, WorkHandler]:
        return {
            "start_backup": WorkHandler(self.start_backup, begins_itself=True),
            "verify_backup": WorkHandler(self.verify_backup, begins_itself=True),
        }

    async def start_backup(self, args: StartBackup, job: Job) -> Result:
        """Raises WorkRejectedError (`backups_disabled`), WorkFailedError."""
        settings = self._settings()
        if not settings.switch("backup_enabled"):
            raise WorkRejectedError("backups_disabled", "backup_enabled is off in this machine's settings")
        await wait_for_turn(self.turn, job)
        async with self.turn:
            await self._disk.call(prepare, self._folder, args.backup_id)
            assignment = await self._disk.call(backup_assignment, settings, args, self._folder)
            return await self.upload_backup(assignment, job)

    async def upload_backup(self, assignment: Assignment, job: Job) -> Result:
        """From wherever an earlier life was."""
        self._log("backup_begins", id=assignment.backup_id)
        try:
            result = await Run(self, assignment, job).to_the_end()
        except asyncio.CancelledError:
            raise  # the agent ends: the next life goes on
        except (WorkCancelledError, WorkFailedError) as ended:
            self._log("backup_failed", id=assignment.backup_id, why=ended)
            await self._disk.call(drop_work, self._folder, assignment.backup_id)
            raise
        self._log("backup_sent", id=assignment.backup_id, size=str(result.get("size", 0)))
        await self._disk.call(drop_work, self._folder, assignment.backup_id)
        return fitting_result(result)

    async def verify_backup(self, args: VerifyBackup, job: Job) -> Result:
        """Fetch, unpack to a scratch place, compare. Raises WorkFailedError."""
        await wait_for_turn(self.turn, job)
        async with self.turn:
            await self._disk.call(make_room, self._folder)
            assignment = assigned("verify", self._settings(), args.backup_id, self._folder, {})
            try:
                return fitting_result(await Run(self, assignment, job).to_the_end())
            finally:
                self._disk.post(lambda: drop_work(self._folder, args.backup_id))

    async def staged(self, wanted: StageWanted, job: Job) -> StageResult:
        """The reading half of a restore, for the holder of `turn`. Raises WorkCancelledError, WorkFailedError."""
        await self._disk.call(make_room, self._folder)
        args = msgspec.to_builtins(wanted)
        assignment = assigned("restore", self._settings(), wanted.backup_id, self._folder, args)
        return msgspec.convert(await Run(self, assignment, job).to_the_end(), StageResult)

    async def yielding(self, watch: ControlWatch) -> Yielding:
        rate = self._settings().number("backup_rate") * 1024
        is_behind = watch.yields(self._oldest_s(), time.monotonic())
        is_customer = await self._is_customer()
        return Yielding(to="customer" if is_customer else "control" if is_behind else "", rate=rate)


async def wait_for_turn(turn: asyncio.Lock, job: Job) -> None:
    """Keeps a command waiting that was to begin within a minute. Raises WorkCancelledError."""
    began = time.monotonic()
    while turn.locked():
        job.prolong(prolonged_s(began, time.monotonic()))
        job.progress("waiting")
        await job.pause(TURN_EVERY_S)


class Run:
    def __init__(self, client: BackupClient, assignment: Assignment, job: Job) -> None:
        self._client = client
        self._assignment = assignment
        self._job = job
        self._began = time.monotonic()
        self._yielding = Yielding(rate=assignment.rate)
        self._control = ControlWatch()
        self._last = ChildReport()
        self._ended: ChildReport | None = None
        self._crashes = 0
        self._waiting_at = float("-inf")

    async def to_the_end(self) -> Result:
        """Raises WorkCancelledError, WorkFailedError."""
        while self._ended is None:
            await self._one_child()
        if self._ended.failure is not None:
            raise WorkFailedError(self._ended.failure.code, self._ended.failure.message)
        return dict(self._ended.result or {})

    async def _one_child(self) -> None:
        try:
            child = await Child.start(self._assignment)
        except OSError as error:
            raise WorkFailedError("internal", f"the archiving process cannot be started: {error.strerror}") from error
        self._client.pid = child.pid
        self._yielding = Yielding(rate=self._assignment.rate)
        try:
            await until_one_ends(child.follow(self._handle), self._watch(child))
        finally:
            self._client.pid = None
            await child.end()
        if self._ended is None:
            self._crashes += 1
            if self._crashes > MAX_CRASHES:
                raise WorkFailedError("interrupted", f"the archiving process keeps ending: {child.last_words}")
            await self._job.pause(self._crashes)

    def _handle(self, report: ChildReport) -> None:
        if report.result is not None or report.failure is not None:
            self._ended = report
            return
        self._job.prolong(prolonged_s(self._began, time.monotonic()))
        if report.waits_for:
            self._last = report
            self._report_waiting()
            return
        if (report.phase, report.done) != (self._last.phase, self._last.done):
            self._crashes = 0
        self._last = report
        if not self._yielding.to:
            self._waiting_at = float("-inf")
            self._job.progress(report.phase, report.done, report.total)

    def _report_waiting(self) -> None:
        """At once, and repeated: it moves the hub's deadline."""
        now = time.monotonic()
        if now - self._waiting_at >= WAITING_EVERY_S:
            self._waiting_at = now
            self._job.progress("waiting")

    async def _watch(self, child: Child) -> None:
        """Make the child yield; end it when the command is withdrawn or late."""
        while True:
            if self._job.left_s <= LEAST_S:
                raise WorkFailedError(*self._late())
            wanted = await self._client.yielding(self._control)
            if wanted != self._yielding:
                self._yielding = wanted
                child.obey(wanted)
            if wanted.to:
                self._job.prolong(prolonged_s(self._began, time.monotonic()))
                self._report_waiting()
            await wait_at_most(self._job.cancelled, min(LOOK_EVERY_S, max(0.01, self._job.left_s - LEAST_S)))
            self._job.check()

    def _late(self) -> tuple[str, str]:
        if self._last.waits_for == "store":
            return "store_away", "the hub's object store was away until the deadline"
        if self._last.waits_for:
            return "hub_away", "the hub took no part of it until the deadline"
        return "deadline", "it had not ended at its deadline"


def assigned(kind: Any, settings: AgentSettings, backup_id: int, folder: Path, args: dict[str, Any]) -> Assignment:
    hub = HubAddress(
        base_url=settings.base_url, api_token=settings.api_token, device_id=settings.device_id,
        timeout=settings.number("connection_timeout"), trust=settings.hub_trust,
    )  # fmt: skip
    rate = settings.number("backup_rate") * 1024
    return Assignment(kind=kind, hub=hub, backup_id=backup_id, folder=str(folder), rate=rate, args=args)


def prepare(folder: Path, backup_id: int) -> None:
    """Without what earlier backups left. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in _work_folders(folder):
        if left.name != str(backup_id):
            shutil.rmtree(left, ignore_errors=True)


def make_room(folder: Path) -> None:
    """Without what nobody goes on with; a backup that was cut may still. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    drop_ended(folder, time.time())


def _work_folders(folder: Path) -> list[Path]:
    return [each for each in folder.glob("*") if each.name.isdigit()]


def drop_work(folder: Path, backup_id: int) -> None:
    shutil.rmtree(folder / str(backup_id), ignore_errors=True)


def drop_ended(folder: Path, now: float) -> None:
    """Backups that began longer ago than the hub waits for any, and what has no task: nobody goes on with it. The
    others go with the next one (`prepare`)."""
    for left in _work_folders(folder):
        task = left / "task"
        if not task.exists() or now - task.stat().st_mtime > MAX_RUN_S:
            shutil.rmtree(left, ignore_errors=True)


def workers() -> int:
    """Free processors but one, at most two: a third leaves too little of 64 MiB to TLS and SQLite."""
    return max(1, min(2, len(os.sched_getaffinity(0)) - 1))


def backup_assignment(settings: AgentSettings, args: StartBackup, folder: Path) -> Assignment:
    """Raises OSError for the machine's age identity, WorkFailedError without a source."""
    compression = settings.text("backup_compression") if settings.switch("compression_enabled") else "none"
    return assigned(
        "backup", settings, args.backup_id, folder,
        {
            "backup_type": args.backup_type, "compression": compression,
            "chain_most": int(settings.number("backup_chain")), "read_all": settings.switch("backup_read_all"),
            "workers": workers(), "created_at": utc_now(), "include_images": args.include_images,
            "include_logs": args.include_logs, "sources": settings.values["backup_sources"],
            "public_key": settings.text("backup_public_key"), "identity_file": str(settings.state_dir / IDENTITY),
            "agent_file": None if settings.config_file is None else str(settings.config_file),
            "secret": [str(path) for path in (settings.key_file, settings.state_dir) if path is not None],
        },
    )  # fmt: skip
