"""A recording as the answer to a request: its bytes compared with what was stored before the first of them leaves.

Holds a few at once, each for its caller; knows no rights.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread
from starlette.responses import Response

from db.recordings import RecordingRow
from hub.kernel.objects.protocol import CHUNK, ObjectDamagedError, ObjectMissingError, ObjectsError
from hub.model.actors import Actor
from hub.remote.recordings.asciicast import MEDIA_TYPE
from hub.remote.recordings.file import RecordingFailedError, whole
from hub.remote.recordings.service import Recordings
from hub.web.http.download_slots import EndedStream, Exports
from hub.web.http.problems import Problem, Text

RETRY_S = 30.0


async def opened(recordings: Recordings, row: RecordingRow) -> BinaryIO:
    """The bytes, compared. Raises Problem: 409 for one that is not whole, 503 while the store is away."""
    if row.state not in ("waiting", "stored"):
        raise Problem("conflict", Text(f"recording.{row.state}"))
    try:
        return await _stored(recordings, row) if row.object_key else await _waiting(recordings, row)
    except (ObjectMissingError, ObjectDamagedError, RecordingFailedError) as error:
        raise Problem("conflict", Text("recording.lost")) from error
    except ObjectsError as error:
        raise Problem("unavailable", Text("recording.store_away"), retry_after=RETRY_S) from error


def answer(file: BinaryIO, row: RecordingRow, exports: Exports, who: Actor, *, name: str | None) -> Response:
    """With a `name` it is a file to keep. `who` has begun one of `exports`, and ends it with the last byte."""
    headers = {"Content-Length": str(row.size or 0)}
    if name is not None:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'

    def ended() -> None:
        file.close()
        exports.end(who)

    return EndedStream(_parts(file), headers, MEDIA_TYPE, ended)


async def _parts(file: BinaryIO) -> AsyncIterator[bytes]:
    while part := await anyio.to_thread.run_sync(file.read, CHUNK):
        yield part


async def _waiting(recordings: Recordings, row: RecordingRow) -> BinaryIO:
    """It is on the hub's own disk; opened first, so that it stays readable when it is carried away."""
    path = recordings.path(row.id)
    try:
        file = await anyio.to_thread.run_sync(path.open, "rb")
    except OSError as error:
        raise ObjectMissingError(path.name) from error
    if await whole(path) != row.sha256:
        file.close()
        raise ObjectDamagedError(path.name)
    return file


async def _stored(recordings: Recordings, row: RecordingRow) -> BinaryIO:
    path = recordings.path(row.id).with_name(f"{row.id}.{secrets.token_hex(8)}.fetched")
    await anyio.to_thread.run_sync(partial(path.parent.mkdir, mode=0o700, parents=True, exist_ok=True))
    await recordings.objects.get_file(row.object_key or "", path, row.sha256 or "")
    return await anyio.to_thread.run_sync(_nameless, path)


def _nameless(path: Path) -> BinaryIO:
    """Open it and take its name away: it goes with the last reader."""
    file = path.open("rb")
    path.unlink()
    return file
