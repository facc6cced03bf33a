"""Records terminals: to the hub's own disk, then into the object store. A file stays here until the store has given
it back once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import anyio.to_thread

from db.engine.store import Store
from db.errors import Conflict, StoreError
from db.queries import recordings as rows
from db.records import RecordingRow, RemoteSessionRow
from hub.kernel.announce import Announcer
from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import Objects
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors
from hub.model.access import Principal
from hub.model.actors import Actor
from hub.model.changes import Patch, put_rows
from hub.remote.recordings import file as asciicast
from hub.remote.recordings import rules
from hub.remote.recordings.file import MIB, Quota, RecordingFailedError, RecordingFile, has_room, whole

logger = logging.getLogger("myrvm.recordings")

TERM: Final = "xterm-256color"


class OpenRecording(NamedTuple):
    row: RecordingRow
    file: RecordingFile

    @property
    def id(self) -> int:
        return self.row.id

    def typed(self, data: bytes) -> None:
        """Only where the hub is set to: passwords are typed too."""
        if self.row.input_recorded:
            self.file.typed(data)


class Recordings:
    """`begin` and `finish` for terminals, `delete` for people and the clock."""

    def __init__(
        self, store: Store, announce: Announcer, objects: Objects, folder: Path, clock: Callable[[], datetime],
        *, with_input: bool, mib_per_machine: int = 2048,
    ) -> None:  # fmt: skip
        self.store = store
        self.announce = announce
        self.objects = objects
        self.clock = clock
        self.since = clock()
        self.with_input = with_input
        self.open: set[int] = set()  # Bound: the open terminals
        # Bound: terminals that ended while the database is away, without which none begins.
        self.unrecorded: list[Patch] = []  # Ends of recordings that finished while the database was away
        self.work = anyio.Event()
        self._folder = folder
        self._bytes_per_machine = mib_per_machine * MIB
        self._quotas: dict[int, Quota] = {}  # Bound: the machines with an open terminal

    def path(self, recording_id: int) -> Path:
        return self._folder / f"{recording_id}.cast"

    async def begin(
        self, session: RemoteSessionRow, machine_name: str, user: Principal, address: str | None, cols: int, rows: int
    ) -> OpenRecording:
        """Row, event and file. Raises StoreError or RecordingFailedError."""
        row = RecordingRow(
            session_id=session.id, rvm_id=session.rvm_id, machine_name=machine_name, user_id=user.id,
            user_name=user.name, ip_address=address, reason=session.reason, state="recording",
            started_at=self.clock(), input_recorded=self.with_input, cols=cols, rows=rows,
        )  # fmt: skip
        quota = await self._quota(row.rvm_id)
        try:
            return await self._begun(row, quota)
        except BaseException:
            self._released(row.rvm_id)
            raise

    async def _begun(self, drafted: RecordingRow, quota: Quota) -> OpenRecording:
        await has_room(self._folder)
        row = next(put_rows(await self.announce(*rules.began(drafted)), RecordingRow))
        self.open.add(row.id)
        began = int(row.started_at.timestamp())
        header = asciicast.header(cols=row.cols, rows=row.rows, began=began, term=TERM, title=row.machine_name)
        recording = OpenRecording(row, RecordingFile(self.path(row.id), header, quota))
        try:
            await recording.file.begin()
        except RecordingFailedError:
            self.open.discard(row.id)  # the keeper finds a row without a file
            self.work.set()
            raise
        return recording

    async def finish(self, recording: OpenRecording, reason: str) -> None:
        with anyio.CancelScope(shield=True):
            try:
                done = await recording.file.finish()
            except RecordingFailedError as failure:
                logger.warning("recording %d ends early: %s", recording.id, failure)
            else:
                await self._record_end(rules.ended(recording.id, self.clock(), reason, **done._asdict()))
            self.open.discard(recording.id)
            self._released(recording.row.rvm_id)
            self.work.set()

    async def _quota(self, rvm_id: int) -> Quota:
        quota = self._quotas.get(rvm_id)
        if quota is None:
            taken = await rows.bytes_of_machine(self.store, rvm_id)
            quota = self._quotas.setdefault(rvm_id, Quota(self._bytes_per_machine - taken))
        if quota.left <= 0:
            if not quota.users:
                del self._quotas[rvm_id]
            raise RecordingFailedError("recording_full", f"machine {rvm_id} has all the recordings it may have")
        quota.users += 1
        return quota

    def _released(self, rvm_id: int) -> None:
        quota = self._quotas[rvm_id]
        quota.users -= 1
        if not quota.users:
            del self._quotas[rvm_id]

    async def _record_end(self, ended: Patch) -> None:
        try:
            await self.announce(ended)
        except StoreError as error:
            logger.warning("recording %d has ended, which is not recorded yet: %s", ended.key, error)
            self.unrecorded.append(ended)

    async def delete(self, row: RecordingRow, by: Actor) -> None:
        if row.object_key is not None:
            await self.objects.delete(row.object_key)
        await anyio.Path(self.path(row.id)).unlink(missing_ok=True)
        await self.announce(*rules.deleted(row, by, self.clock()))


RETRY_FIRST_S: Final = 5.0
RETRY_MOST_S: Final = 300.0  # Rather long: each try sends a whole recording
SWEEP_S: Final = 3600.0
UPLOADS_LEFT_FOR: Final = timedelta(days=1)


class RecordingKeeper:
    """Finishes recordings left open, stores waiting ones, deletes expired ones."""

    def __init__(self, recordings: Recordings, retention_days: int) -> None:
        self._recordings = recordings
        self._retention = timedelta(days=retention_days)
        self._swept_at = datetime.min.replace(tzinfo=timezone.utc)
        self._retry = RetryUntilAvailable(
            "recordings", StoreError, ObjectsError, first_s=RETRY_FIRST_S, most_s=RETRY_MOST_S
        )

    async def run(self) -> None:
        while True:
            self._recordings.work = anyio.Event()
            await self._retry(self.work_off)
            with anyio.move_on_after(SWEEP_S):
                await self._recordings.work.wait()

    async def work_off(self) -> None:
        await self._record_ends()
        store, limit = self._recordings.store, self._recordings.clock() - self._retention
        await self._each(lambda after: rows.in_state(store, "recording", after), self._finish_left)
        await self._each(lambda after: rows.in_state(store, "waiting", after), self._store)
        await self._each(
            lambda after: rows.ended_before(store, limit, after), lambda row: self._recordings.delete(row, actors.CLOCK)
        )
        await self._sweep_uploads()

    async def _sweep_uploads(self) -> None:
        """Hourly: what a killed hub had begun to store."""
        now = self._recordings.clock()
        if now - self._swept_at >= timedelta(seconds=SWEEP_S):
            await self._recordings.objects.sweep("recordings/", now - UPLOADS_LEFT_FOR, ())
            self._swept_at = now

    @staticmethod
    async def _each(
        page: Callable[[int], Awaitable[list[RecordingRow]]], handle: Callable[[RecordingRow], Awaitable[None]]
    ) -> None:
        after = 0
        while found := await page(after):
            for row in found:
                after = row.id
                await handle(row)

    async def _record_ends(self) -> None:
        unrecorded = self._recordings.unrecorded
        while unrecorded:
            try:
                await self._recordings.announce(unrecorded[0])
            except Conflict as conflict:
                logger.info("recording %d was ended already: %s", unrecorded[0].key, conflict)
            unrecorded.pop(0)

    async def _finish_left(self, row: RecordingRow) -> None:
        """What there is of a killed hub's recording, or of a file that could not be written on."""
        if row.id in self._recordings.open or row.id in (one.key for one in self._recordings.unrecorded):
            return
        path = self._recordings.path(row.id)
        try:
            extent = await anyio.to_thread.run_sync(_cut, str(path))
            sha256 = await whole(path)
        except (OSError, RecordingFailedError) as error:
            await self._lost(row, str(error))
            return
        if not extent.whole:
            await self._lost(row, "the file holds no recording")
            return
        ends = row.started_at + timedelta(seconds=extent.duration_s)
        reason = "hub_restarted" if row.started_at < self._recordings.since else "recording_failed"
        ended = rules.ended(row.id, ends, reason, duration_s=extent.duration_s, size=extent.size, sha256=sha256)
        await self._recordings.announce(ended)

    async def _store(self, row: RecordingRow) -> None:
        path, sha256 = self._recordings.path(row.id), row.sha256 or ""
        try:
            found = await whole(path)
        except RecordingFailedError as error:
            await self._lost(row, str(error))
            return
        if found != sha256:
            await self._lost(row, "the file was changed after it was finished")
            return
        key = f"recordings/{row.started_at:%Y-%m}/{row.id}-{sha256[:16]}.cast"
        await self._recordings.objects.put_file(key, path, sha256)
        try:
            await self._recordings.announce(rules.stored(row.id, key))
        except Conflict:  # deleted meanwhile
            await self._recordings.objects.delete(key)
        await anyio.Path(path).unlink(missing_ok=True)

    async def _lost(self, row: RecordingRow, why: str) -> None:
        logger.error("recording %d is lost: %s", row.id, why)
        await self._recordings.announce(*rules.lost(row, self._recordings.clock()))


def _cut(name: str) -> asciicast.Extent:
    with open(name, "r+b") as file:  # noqa: PTH123 - a name, for the thread
        extent = asciicast.extent(file)
        file.truncate(extent.size)
    return extent
