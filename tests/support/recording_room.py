"""Recordings on a real database and a real folder, with an object store that can be away and a clock that is set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from db.queries import recordings as rows
from db.records import RecordingRow, RemoteSessionRow
from hub.kernel.objects.folder import FolderShelf
from hub.kernel.objects.place import ObjectsError
from hub.kernel.objects.store import Objects
from hub.lifespan import Engine, utc_now
from hub.model.access import Principal
from hub.model.changes import Change, EventHappened
from hub.remote.recordings.service import OpenRecording, RecordingKeeper, Recordings
from tests.support.engine_life import engine_life


class Shelf(FolderShelf):
    """A folder that refuses while it is `away`."""

    away = False

    def put(self, key: str, path: Path) -> None:
        self._reach()
        super().put(key, path)

    def get(self, key: str, path: Path) -> None:
        self._reach()
        super().get(key, path)

    def delete(self, key: str) -> None:
        self._reach()
        super().delete(key)

    def _reach(self) -> None:
        if self.away:
            raise ObjectsError("the object store is away")


async def begun(
    recordings: Recordings, rvm_id: int, machine_name: str, user_id: int, user_name: str, session_id: int = 5
) -> OpenRecording:
    """A recorded terminal of that person on that machine, as if it had a session."""
    now = recordings.clock()
    session = RemoteSessionRow(id=session_id, rvm_id=rvm_id, start_time=now, created_at=now, reason="camera")
    user = Principal("user", user_id, user_name, "operator", None, "session", 1)
    return await recordings.begin(session, machine_name, user, "10.0.0.1", 80, 24)


class RecordingRoom:
    """`days` is how far the clock is ahead, `said` what was committed since the beginning."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.days = 0
        self.said: list[Change] = []
        engine.announce.listen(self._hear)
        self.shelf_folder = folder / "objects"
        self.shelf = Shelf(self.shelf_folder)
        self._folder = folder / "recordings"
        self.restart()

    def restart(self) -> None:
        """As after a kill: what was open is known to nobody."""
        self.recordings = Recordings(
            self.engine.store, self.engine.announce, Objects(self.shelf), self._folder, self.clock, with_input=False
        )
        self.keeper = RecordingKeeper(self.recordings, 90)

    def clock(self) -> datetime:
        return utc_now() + timedelta(days=self.days)

    def path(self, recording_id: int) -> Path:
        return self.recordings.path(recording_id)

    async def begin(self) -> OpenRecording:
        return await begun(self.recordings, 1, "Lobby", 3, "Budi")

    async def recorded(self, shown: bytes) -> OpenRecording:
        """One that is over and waits for the store."""
        recording = await self.begin()
        recording.file.output(shown)
        await self.recordings.finish(recording, "exited")
        return recording

    async def find(self, recording_id: int) -> RecordingRow | None:
        return await rows.find(self.engine.store, recording_id)

    async def row(self, recording_id: int) -> RecordingRow:
        found = await self.find(recording_id)
        assert found is not None
        return found

    async def rows(self) -> list[RecordingRow]:
        return await rows.of_machine(self.engine.store, 1, 100)

    def events(self, code: str) -> list[EventHappened]:
        return [change for change in self.said if isinstance(change, EventHappened) and change.code == code]

    def _hear(self, changes: Sequence[Change]) -> None:
        self.said += changes


@asynccontextmanager
async def recording_room(folder: Path, database_url: str) -> AsyncIterator[RecordingRoom]:
    async with engine_life(folder, database_url) as (engine, _):
        yield RecordingRoom(engine, folder)
