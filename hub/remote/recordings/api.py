"""Recorded terminals over REST. Playing and downloading are events of the audit log, so no GET. Bytes are compared
with their digest first."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import anyio
import anyio.to_thread
import msgspec
from starlette.responses import Response

from db.queries import recordings as rows
from db.records import RecordingRow
from hub.kernel.objects.place import CHUNK, ObjectDamagedError, ObjectMissingError, ObjectsError
from hub.model import views
from hub.model.actors import Actor, row_id
from hub.remote.recordings import rules
from hub.remote.recordings.file import MEDIA_TYPE, RecordingFailedError, whole
from hub.remote.recordings.service import Recordings
from hub.web.api import headers
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.download_slots import DownloadSlots, EndedStream, Playbacks
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import Instant, Limit, Row

RETRY_S = 30.0


async def opened(recordings: Recordings, row: RecordingRow) -> BinaryIO:
    """Compared. Raises Problem: 409 for a damaged one, 503 while the store is away."""
    if row.state not in ("waiting", "stored"):
        raise Problem("conflict", Text(f"recording.{row.state}"))
    try:
        return await _stored(recordings, row) if row.object_key else await _waiting(recordings, row)
    except (ObjectMissingError, ObjectDamagedError, RecordingFailedError) as error:
        raise Problem("conflict", Text("recording.lost")) from error
    except ObjectsError as error:
        raise Problem("unavailable", Text("recording.store_away"), retry_after=RETRY_S) from error


def answer(file: BinaryIO, row: RecordingRow, exports: DownloadSlots, who: Actor, *, name: str | None) -> Response:
    """With a `name` it is a file to keep. `who` has begun one of `exports`."""
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
    """Its disk space goes with the last reader."""
    file = path.open("rb")
    path.unlink()
    return file


class RecordingsQuery(msgspec.Struct):
    """Newest first; `before`: the last id of the page before."""

    limit: Limit = 50
    before: Row | None = None


class Recording(msgspec.Struct):
    """`state`: recording (the terminal is open), waiting (complete, not in the object store yet), stored, or lost.
    `reason`: the session's; `ip_address`: where the person was."""

    id: int
    session_id: int
    rvm_id: int
    machine_name: str
    user_id: int
    user_name: str
    ip_address: str | None
    reason: str | None
    state: Literal["recording", "waiting", "stored", "lost"]
    started_at: Instant
    ended_at: Instant | None
    end_reason: str | None
    duration_s: float | None
    size: int | None
    input_recorded: bool
    cols: int
    rows: int


def view(row: RecordingRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in Recording.__struct_fields__}
    ended = None if row.ended_at is None else views.rfc3339(row.ended_at)
    return values | {"started_at": views.rfc3339(row.started_at), "ended_at": ended}


async def find(call: Call) -> RecordingRow:
    """404 for unknown and out of reach alike."""
    recording_id = row_id(call.request.path_params["recording_id"])
    row = None if recording_id is None else await rows.find(call.context.store, recording_id)
    if row is None or not call.principal.reaches(row.rvm_id):
        raise not_found()
    return row


async def list_recordings(call: Call) -> Answer:
    query: RecordingsQuery = call.query
    found = await rows.of_machine(call.context.store, call.machine.id, query.limit + 1, query.before)
    page = found[: query.limit]
    following = page[-1].id if len(found) > len(page) else None
    return Answer([view(row) for row in page], headers=headers.next_page(call.request, before=following))


async def show_recording(call: Call) -> Answer:
    return Answer(view(await find(call)))


async def play_recording(call: Call) -> Answer:
    return await _given(call, keep=False)


async def download_recording(call: Call) -> Answer:
    return await _given(call, keep=True)


async def _given(call: Call, *, keep: bool) -> Answer:
    row, who, exports = await find(call), call.principal.actor, call.context[Playbacks]
    exports.begin(who)
    file = None
    try:
        file = await opened(call.context[Recordings], row)
        event = rules.downloaded if keep else rules.played
        await call.context.announce(event(row, who, call.now))
    except BaseException:
        if file is not None:
            file.close()
        exports.end(who)
        raise
    name = f"terminal-{row.id}-{row.started_at:%Y%m%d-%H%M%S}.cast" if keep else None
    return Answer(answer(file, row, exports, who, name=name))


async def delete_recording(call: Call) -> Answer:
    row = await find(call)
    if row.state == "recording":
        raise Problem("conflict", Text("recording.recording"))
    try:
        await call.context[Recordings].delete(row, call.principal.actor)
    except ObjectsError as error:
        wait = RETRY_S
        raise Problem("unavailable", Text("recording.store_away"), retry_after=wait) from error
    return Answer(status=204)


_TAG = "Remote access"

OPERATIONS = (
    Operation(
        name="list_recordings", method="GET", path="/v2/rvms/{id}/remote-access/recordings", handler=list_recordings,
        tag=_TAG, summary="The recorded terminals of one machine, newest first", action="recording.read",
        query=RecordingsQuery, answers={200: list[Recording]}, headers=("Link",),
    ),
    Operation(
        name="show_recording", method="GET", path="/v2/recordings/{recording_id}", handler=show_recording, tag=_TAG,
        summary="One recorded terminal: who, from where, why and how long", action="recording.read",
        answers={200: Recording}, refusals=(404,),
    ),
    Operation(
        name="play_recording", method="POST", path="/v2/recordings/{recording_id}/play", handler=play_recording,
        tag=_TAG, summary="The recording as asciicast v2, to be played", action="recording.read",
        answers={200: Recording}, refusals=(404, 409, 429), other_media=(MEDIA_TYPE,),
        description=f"The answer is `{MEDIA_TYPE}`. Playing is an event of the machine. 409 while the terminal is "
        "open or when the recording is lost, 503 while the object store is away. One at a time for each caller.",
    ),
    Operation(
        name="download_recording", method="POST", path="/v2/recordings/{recording_id}/download",
        handler=download_recording, tag=_TAG, summary="The recording as a file to keep", action="recording.read",
        answers={200: Recording}, refusals=(404, 409, 429), other_media=(MEDIA_TYPE,),
        description="Like playing; downloading is an event of its own.",
    ),
    Operation(
        name="delete_recording", method="DELETE", path="/v2/recordings/{recording_id}", handler=delete_recording,
        tag=_TAG, summary="Delete a recording for good", action="recording.delete", answers={204: None},
        refusals=(404, 409),
    ),
)  # fmt: skip
