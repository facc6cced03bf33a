"""What becomes of finished recordings: carried to the object store, tried again while it is away, and deleted when they
are old enough. At its start it finishes what a killed hub left open.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

import anyio
import anyio.to_thread

from db import recordings as rows
from db.errors import Conflict, StoreError
from db.recordings import RecordingRow
from hub.kernel.objects.protocol import ObjectsError
from hub.kernel.retry import RetryUntilAvailable
from hub.model import actors
from hub.model.recording_changes import RecordingEnded, RecordingLost, RecordingStored
from hub.remote.recordings import asciicast, rules
from hub.remote.recordings.file import RecordingFailedError, whole
from hub.remote.recordings.service import Recordings

logger = logging.getLogger("myrvm.recordings")

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
