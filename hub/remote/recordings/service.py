"""Recordings of terminals: begun with the terminal, finished on the hub's own disk, then handed to the object store.

A file stays here until the store has given it back once: a store that is away loses nothing. What a killed hub left is
finished at the next start. Knows no stream and no browser.

What becomes of finished recordings: carried to the object store, tried again while it is away, and deleted when they
are old enough. At its start it finishes what a killed hub left open.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from db import recordings as rows
from db.connection import Store
from db.errors import Conflict, StoreError
from db.records import RecordingRow
from hub.kernel.announce import Announcer
from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import Objects
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors
from hub.model.actors import Actor
from hub.model.recording_changes import RecordingBegan, RecordingDeleted, RecordingEnded, RecordingLost, RecordingStored
from hub.remote.recordings import file as asciicast
from hub.remote.recordings import rules
from hub.remote.recordings.file import MIB, Quota, RecordingFailedError, RecordingFile, has_room, whole

logger = logging.getLogger("myrvm.recordings")

TERM: Final = "xterm-256color"


@dataclass(frozen=True)
class Scene:
    """Who opens a terminal where, from where and why."""

    session_id: int
    rvm_id: int
    machine_name: str
    user_id: int
    user_name: str
    ip_address: str | None
    reason: str | None


@dataclass(frozen=True)
class OpenRecording:
    """One that runs. `id` is its row's."""

    id: int
    scene: Scene
    file: RecordingFile
    with_input: bool

    def typed(self, data: bytes) -> None:
        """What was typed is part of it only where the hub was told so: passwords are typed too."""
        if self.with_input:
            self.file.typed(data)


class Recordings:
    """`begin` and `finish` for terminals; `delete` for people and the clock; what `finish` leaves is carried to the
    store by `hub.remote.recordings.service`, which waits for `work`."""

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
        # Bound: the open terminals.
        self.open: set[int] = set()
        # Bound: terminals that ended while the database is away, without which none begins.
        self.unsaid: list[RecordingEnded] = []
        """Finished while the database was away."""
        self.work = anyio.Event()
        self._folder = folder
        self._bytes_per_machine = mib_per_machine * MIB
        # Bound: the machines with an open terminal.
        self._quotas: dict[int, Quota] = {}

    def path(self, recording_id: int) -> Path:
        """Its file, as long as it is on the hub's disk."""
        return self._folder / f"{recording_id}.cast"

    async def begin(self, scene: Scene, cols: int, rows: int) -> OpenRecording:
        """The row, its line in the record and the file. Raises StoreError or RecordingFailedError: then no terminal."""
        quota = await self._quota(scene.rvm_id)
        try:
            return await self._begun(scene, cols, rows, quota)
        except BaseException:
            self._released(scene.rvm_id)
            raise

    async def _begun(self, scene: Scene, cols: int, rows: int, quota: Quota) -> OpenRecording:
        await has_room(self._folder)
        at = self.clock()
        began = RecordingBegan(
            session_id=scene.session_id, rvm_id=scene.rvm_id, machine_name=scene.machine_name, user_id=scene.user_id,
            user_name=scene.user_name, ip_address=scene.ip_address, reason=scene.reason, at=at,
            input_recorded=self.with_input, cols=cols, rows=rows,
        )  # fmt: skip
        opened = rules.terminal_opened(actors.user(scene.user_id), at, scene.rvm_id, scene.session_id)
        stored = (await self.announce(began, opened))[0]
        if not isinstance(stored, RecordingBegan) or stored.id is None:
            raise RuntimeError("a recording was stored without an id")
        self.open.add(stored.id)
        header = asciicast.header(
            cols=cols, rows=rows, began=int(at.timestamp()), term=TERM, title=scene.machine_name
        )  # fmt: skip
        recording = OpenRecording(stored.id, scene, RecordingFile(self.path(stored.id), header, quota), self.with_input)
        try:
            await recording.file.begin()
        except RecordingFailedError:
            self.open.discard(stored.id)  # the keeper finds a row without a file, and says so
            self.work.set()
            raise
        return recording

    async def finish(self, recording: OpenRecording, reason: str) -> None:
        """The terminal is over. Never raises: what cannot be said now is said later, and what the disk refused is
        found by the keeper."""
        with anyio.CancelScope(shield=True):
            try:
                done = await recording.file.finish()
            except RecordingFailedError as failure:
                logger.warning("recording %d ends early: %s", recording.id, failure)
            else:
                ended = RecordingEnded(
                    recording_id=recording.id, at=self.clock(), reason=reason, duration_s=done.duration_s,
                    size=done.size, sha256=done.sha256,
                )  # fmt: skip
                await self._say(ended)
            self.open.discard(recording.id)
            self._released(recording.scene.rvm_id)
            self.work.set()

    async def _quota(self, rvm_id: int) -> Quota:
        """The machine's, as long as it has open recordings the same. Raises RecordingFailedError: it is used up."""
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

    async def _say(self, ended: RecordingEnded) -> None:
        try:
            await self.announce(ended)
        except StoreError as error:
            logger.warning("recording %d is finished, which is not on record yet: %s", ended.recording_id, error)
            self.unsaid.append(ended)

    async def delete(self, row: RecordingRow, by: Actor) -> None:
        """Its bytes first, wherever they are; then the row, with a line. Raises ObjectsError, StoreError."""
        if row.object_key is not None:
            await self.objects.delete(row.object_key)
        await anyio.Path(self.path(row.id)).unlink(missing_ok=True)
        said = rules.deleted(by, self.clock(), row.rvm_id, row.session_id, row.id)
        await self.announce(RecordingDeleted(recording_id=row.id), said)


RETRY_FIRST_S: Final = 5.0
RETRY_MOST_S: Final = 300.0
"""A store that is away is not sent a whole recording every few seconds."""
SWEEP_S: Final = 3600.0


class RecordingKeeper:
    """One loop; the order of its work is: what was left open, what waits for the store, what is too old."""

    def __init__(self, recordings: Recordings, retention_days: int) -> None:
        self._recordings = recordings
        self._retention = timedelta(days=retention_days)
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
        """Everything there is to do now. Raises StoreError or ObjectsError when a part has to wait."""
        await self._say()
        await self._finish_left()
        await self._carry()
        await self._sweep()

    async def _say(self) -> None:
        unsaid = self._recordings.unsaid
        while unsaid:
            try:
                await self._recordings.announce(unsaid[0])
            except Conflict as conflict:
                logger.info("recording %d was ended already: %s", unsaid[0].recording_id, conflict)
            unsaid.pop(0)

    async def _finish_left(self) -> None:
        after = 0
        while found := await rows.in_state(self._recordings.store, "recording", after):
            for row in found:
                after = row.id
                ours = row.id in self._recordings.open or row.id in (e.recording_id for e in self._recordings.unsaid)
                if not ours:
                    await self._finish(row)

    async def _finish(self, row: RecordingRow) -> None:
        """Of a hub that was killed, or of a file that could not be written on: what there is of it."""
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
        ended = RecordingEnded(
            recording_id=row.id, at=ends, reason=reason, duration_s=extent.duration_s, size=extent.size, sha256=sha256
        )
        await self._recordings.announce(ended)

    async def _carry(self) -> None:
        after = 0
        while found := await rows.in_state(self._recordings.store, "waiting", after):
            for row in found:
                after = row.id
                await self._hand_over(row)

    async def _hand_over(self, row: RecordingRow) -> None:
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
            await self._recordings.announce(RecordingStored(recording_id=row.id, object_key=key))
        except Conflict:  # deleted meanwhile
            await self._recordings.objects.delete(key)
        await anyio.Path(path).unlink(missing_ok=True)

    async def _lost(self, row: RecordingRow, why: str) -> None:
        logger.error("recording %d is lost: %s", row.id, why)
        said = rules.lost(self._recordings.clock(), row.rvm_id, row.session_id, row.id)
        await self._recordings.announce(RecordingLost(recording_id=row.id), said)

    async def _sweep(self) -> None:
        limit, after = self._recordings.clock() - self._retention, 0
        while found := await rows.ended_before(self._recordings.store, limit, after):
            for row in found:
                after = row.id
                await self._recordings.delete(row, actors.CLOCK)


def _cut(name: str) -> asciicast.Extent:
    """Cut what follows the last whole line off the file."""
    with open(name, "r+b") as file:  # noqa: PTH123 - a name, for the thread
        extent = asciicast.extent(file)
        file.truncate(extent.size)
    return extent
