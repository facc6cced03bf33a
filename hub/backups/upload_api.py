"""/rvms/{id}/backups/.../upload: an agent's, in parts that survive every cut, and a simple client's, whole in a
form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.requests import Request

from db.backup_records import BackupPartRow, BackupRow
from db.errors import Conflict
from db.queries import backups as rows
from db.records import is_open
from hub.backups.api import BackupType, BackupView, UploadStatus, find, view
from hub.backups.multipart import MOST_OVERHEAD, Form, Sink
from hub.backups.rules import life
from hub.backups.rules.life import Announced, Archive
from hub.backups.service import Backups
from hub.backups.upload import (
    CLOSED,
    PartSpan,
    Receiving,
    SentPart,
    drain,
    ended_meanwhile,
    same_part,
    span_of,
    store_away,
)
from hub.kernel.objects.place import MAX_PARTS, PART_SIZE, PIECE_SIZE, ObjectMissingError, ObjectsError
from hub.model.actors import whole_number
from hub.model.backups import is_there
from hub.model.budgets import FRAME, UPDATE_LINES, Cost, line
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Row, check_free_shape

FILES: Final = ("file", "backup_file")
SHA: Final = "X-Content-SHA256"
RANGE: Final = "Content-Range"
MOST_ASKED: Final = 2
"""Parts whose beginnings are looked for in one request."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)", extra={"expect": "expect.sha256"})]


class Estimate(msgspec.Struct):
    bytes: Count
    files: Count = 0


class BegunPart(msgspec.Struct):
    """`sha256` of the first `piece_size` bytes of a part that may have been cut."""

    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS)]
    sha256: Sha256


class UploadWanted(msgspec.Struct):
    """`backup_type`: where it differs from what was asked; `parent_id`: what an incremental builds on, with its
    sha256 where known. With an `estimate` it may be refused before a byte travels. `begun`: is the beginning of these
    parts there?"""

    backup_type: BackupType | None = None
    parent_id: Row | None = None
    parent_sha256: Sha256 = ""
    file_name: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    encrypted: bool = False
    estimate: Estimate | None = None
    begun: Annotated[list[BegunPart], msgspec.Meta(max_length=MOST_ASKED)] = []


class PartView(msgspec.Struct):
    """On the store's disk. `sha256` in hexadecimal. In a 202 `size` is how much of it is there."""

    number: int
    size: int
    sha256: str


class UploadView(msgspec.Struct):
    """Every part but the last has exactly `part_size` bytes; `max_bytes`: taken in all. A completed backup has no
    parts. `piece_size`: of a part that breaks off so much stays where it came as a piece; `begun`: of those asked for,
    the parts whose first piece is there."""

    rvm_id: int
    backup_id: int
    upload_status: UploadStatus
    part_size: int
    parts: list[PartView]
    max_bytes: int
    piece_size: int
    begun: list[int]


class UploadComplete(msgspec.Struct):
    """How many `parts`, and their total. `sha256` may be empty where unknown; `report`: what could not be read."""

    parts: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS)]
    size: Count
    sha256: Sha256 = ""
    files: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    bytes: Count | None = None
    entries: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    deleted: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    report: dict[str, Any] | None = None


class UploadOutcome(msgspec.Struct):
    """`uploading`: being joined and compared; ask again. `error`: why it failed."""

    backup_id: int
    upload_status: UploadStatus
    sha256: str | None
    error: dict[str, Any] | None


async def begin_upload(call: Call) -> Answer:
    wanted: UploadWanted = call.body
    backups, row = call.context[Backups], await find(call)
    if is_there(row):
        return Answer(_upload_view(row, [], 0, backups.objects.piece_size))
    _must_be_open(row)
    parent = None if wanted.parent_id is None else await rows.find(call.context.store, wanted.parent_id)
    if wanted.parent_id is not None and not life.may_follow(row, parent, wanted.parent_sha256):
        raise Problem("conflict", Text("backup.parent_missing"), code="parent_missing")
    room = await backups.room(row.rvm_id, row)
    most = min(limit - kept for limit, kept in _limits(room)) if _limits(room) else MAX_PARTS * PART_SIZE
    _must_fit(life.over(room, 0 if wanted.estimate is None else wanted.estimate.bytes))
    announced = Announced(wanted.backup_type or row.backup_type, wanted.compression, wanted.encrypted)
    try:
        row = await backups.begin(row, announced, parent)
    except ObjectsError as away:
        raise store_away(away) from away
    except Conflict as ended:
        raise ended_meanwhile() from ended
    parts = await rows.parts_of(call.context.store, row.id)
    begun = await _begun(backups, row, wanted.begun)
    return Answer(_upload_view(row, parts, max(0, most), backups.objects.piece_size, begun))


async def _begun(backups: Backups, row: BackupRow, asked: list[BegunPart]) -> list[int]:
    """Those whose first piece the store has, as its own bytes show: no row is written for a piece."""
    found, size = [], backups.objects.piece_size
    try:
        for part in asked if size < PART_SIZE else ():
            there = await backups.objects.begun_part(row.file_path or "", row.upload_id or "", part.number, size)
            if there.hexdigest() == part.sha256:
                found.append(part.number)
    except ObjectMissingError as gone:
        raise ended_meanwhile() from gone
    except ObjectsError as away:
        raise store_away(away) from away
    return found


def _limits(room: life.Room) -> list[tuple[int, int]]:
    found = [(room.of_one, 0), (room.of_machine, room.kept_of_machine), (room.of_fleet, room.kept_of_fleet)]
    return [(limit, kept) for limit, kept in found if limit]


def _upload_view(
    row: BackupRow, parts: list[BackupPartRow], most: int, piece_size: int, begun: Sequence[int] = ()
) -> dict[str, Any]:
    shown = [{"number": part.number, "size": part.size, "sha256": part.sha256} for part in parts]
    return {
        "rvm_id": row.rvm_id, "backup_id": row.id, "upload_status": row.upload_status, "part_size": PART_SIZE,
        "parts": shown, "max_bytes": most, "piece_size": piece_size, "begun": list(begun),
    }  # fmt: skip


async def put_part(call: Call) -> Answer:
    backups, row = call.context[Backups], await find(call)
    part, span = _announced_part(call, backups.objects.piece_size)
    if row.upload_status != "uploading" or row.upload_id is None or backups.is_assembling(row):
        _must_be_open(row)
        raise Problem("conflict", Text("backup.not_begun"), code="conflict", headers=CLOSED)
    # Of what this backup takes at the least with that part in it; whether all of it fits `complete` knows.
    _must_fit(life.over(await backups.room_for_parts(row), (part.number - 1) * PART_SIZE + part.size))
    before = await rows.find_part(call.context.store, row.id, part.number)
    if before is not None and same_part(before, part):
        await drain(call.request)
    else:
        part = msgspec.structs.replace(part, backup_id=row.id)
        sent = SentPart(row, part, span, replaces=before is not None, request=call.request)
        await call.context[Receiving].receive(backups, sent)
        if not span.is_last:
            return Answer({"number": part.number, "size": span.end, "sha256": part.sha256}, 202)
    return Answer({"number": part.number, "size": part.size, "sha256": part.sha256})


def _announced_part(call: Call, piece: int) -> tuple[BackupPartRow, PartSpan]:
    number = whole_number(call.request.path_params["number"], MAX_PARTS)
    if not number:
        raise not_found()
    length = whole_number(call.request.headers.get("content-length", ""), 2**53)
    if length is None or length == 0:
        raise Problem("malformed", Text("backup.length", {"most": PART_SIZE}), headers=CLOSED)
    if length > PART_SIZE:
        raise Problem("too-large", Text("backup.length", {"most": PART_SIZE}), headers=CLOSED, code="too_large")
    sha256 = call.request.headers.get(SHA, "").lower()
    if not _SHA256.match(sha256):
        raise Problem("invalid", Text("invalid", {"field": SHA, "why": Text("expect.sha256")}), headers=CLOSED,
                      errors={SHA: [Text("expect.sha256")]})  # fmt: skip
    span = span_of(call.request.headers.get(RANGE), length, piece)
    if span is None:
        raise Problem("malformed", Text("backup.range", {"piece": piece, "most": PART_SIZE}), headers=CLOSED)
    return BackupPartRow(backup_id=0, number=number, size=span.size, sha256=sha256, tag=""), span


async def complete_upload(call: Call) -> Answer:
    upload: UploadComplete = call.body
    check_free_shape("report", upload.report)
    backups, row = call.context[Backups], await find(call)
    if is_there(row):
        return Answer(_outcome(row))
    _must_be_open(row)
    if backups.is_assembling(row):
        return Answer(_outcome(row), 202)
    if row.upload_id is None:
        raise Problem("conflict", Text("backup.not_begun"), code="conflict")
    _must_fit(life.over(await backups.room(row.rvm_id, row), upload.size))
    parts = await rows.parts_of(call.context.store, row.id)
    if (wrong := life.gap_in(parts, upload.parts, upload.size, PART_SIZE)) is not None:
        raise Problem("conflict", Text(f"backup.parts_{wrong}"), code=f"parts_{wrong}")
    archive = Archive(
        upload.size, upload.sha256, upload.files, upload.bytes, upload.entries, upload.deleted, upload.report
    )  # fmt: skip
    backups.assemble(row, archive, parts[: upload.parts])
    return Answer(_outcome(row), 202)


def _outcome(row: BackupRow) -> dict[str, Any]:
    return {"backup_id": row.id, "upload_status": row.upload_status, "sha256": row.sha256, "error": row.error}


async def upload_backup(call: Call) -> Answer:
    backups, machine = call.context[Backups], call.machine
    form = Form(call.request, FILES)  # refuses what is none before anything is read
    room = await backups.room(machine.id)
    _announced_form(call, room)
    async with call.context[Receiving].form():
        sink, kept = Sink(backups, machine.id, await backups.draw()), False
        try:
            async for piece in form.pieces():
                await sink.take(piece)
                _must_fit(life.over(room, sink.size))
            if not sink.size:
                raise one_wrong(FILES[0], "form.file_empty")
            backup_type = _type_in(form)
            archive = await sink.finish()
            made = life.received(
                machine, sink.backup_id, backup_type, archive, sink.key, call.principal.actor, call.context.clock()
            )  # fmt: skip
            await call.announce(*made)
            kept = True
        finally:
            await sink.close(kept=kept)
    row = machine.backups.get(sink.backup_id) or await rows.find(call.context.store, sink.backup_id)
    if row is None:
        raise not_found()
    return Answer(view(row), 201, headers={"Location": f"/api/v2/rvms/{machine.id}/backups/{row.id}"})


def _announced_form(call: Call, room: life.Room) -> None:
    """413 or 409 before the body is read."""
    length = whole_number(call.request.headers.get("content-length", ""), 2**53)
    if length is not None and length > MOST_OVERHEAD:
        _must_fit(life.over(room, length - MOST_OVERHEAD))


def _type_in(form: Form) -> str:
    backup_type = form.texts.get("backup_type", "full").strip()
    if backup_type not in ("full", "incremental"):
        raise one_wrong("backup_type", "expect.one_of", values=["full", "incremental"])
    return backup_type


def _must_be_open(row: BackupRow) -> None:
    if not is_open(row):
        raise ended_meanwhile()


def _must_fit(over: life.Over | None) -> None:
    if over is None:
        return
    sentence, is_large = Text(f"backup.{over.code}", {"most": over.most}), over.code == "too_large"
    kind, code = ("too-large", "too_large") if is_large else ("conflict", "quota")
    raise Problem(kind, sentence, code=code, headers=CLOSED)


def of_part(request: Request) -> Cost:
    """A whole part or piece by its bytes; a small one like any request."""
    length = whole_number(request.headers.get("content-length", ""), 2**53)
    return FRAME if length is None or length < PIECE_SIZE else Cost()


_TAG: Final = "Backups"

OPERATIONS = (
    Operation(
        name="upload_backup", method="POST", path="/v2/rvms/{id}/backup/upload", handler=upload_backup, tag=_TAG,
        summary="Send a whole backup in one form", action="backup.write", answers={201: BackupView},
        refusals=(400, 409, 413, 415, 422), headers=("Location",), form={"file": "binary", "backup_type": "text"},
        description="`multipart/form-data` with the archive as `file` (or `backup_file`) and its `backup_type`, in any "
        "order, as `curl -F file=@backup.tar.gz -F backup_type=full` sends it. It streams to the object store. 413 "
        "over the hub's limit and 409 (`quota`) over the machine's, before the body is read where its length says so.",
    ),
    Operation(
        name="begin_backup_upload", method="POST", path="/v2/rvms/{id}/backups/{backup_id}/upload",
        handler=begin_upload, tag=_TAG, summary="Begin an upload in parts, or go on with it", action="backup.write",
        body=UploadWanted, answers={200: UploadView}, refusals=(409,), cost=lambda call: line(call.size, UPDATE_LINES),
        example={"backup_type": "full", "compression": "gzip"},
        description="As often as one likes: it says which parts are there. 409: `backup_ended`, `parent_missing` (make "
        "a full one), `quota`; 413: `too_large`; 503 while the object store is away.",
    ),
    Operation(
        name="put_backup_part", method="PUT", path="/v2/rvms/{id}/backups/{backup_id}/parts/{number}",
        handler=put_part, tag=_TAG, summary="Send one part", action="backup.write",
        answers={200: PartView, 202: PartView},
        refusals=(400, 409, 413, 422), cost=lambda _: Cost(), arrival=of_part,
        description=f"The body is the part, with its Content-Length and its sha256 in {SHA}. 413 over the hub's limit "
        "and 409 (`quota`) over the machine's or the fleet's, before it is read. At 200 it is on the "
        "store's disk. The same part again is answered at once; another one takes its place, until the upload is "
        f"complete. A body may be slow, but not silent for 30 s. With {RANGE} (`bytes 0-4194303/8388608`) the body is "
        "a piece of the part, whose sha256 it names: 202 until the last one, in order and cut at multiples of "
        "`piece_size`. A piece stays when the rest of its part is cut off.",
    ),
    Operation(
        name="complete_backup_upload", method="POST", path="/v2/rvms/{id}/backups/{backup_id}/complete",
        handler=complete_upload, tag=_TAG, summary="Say that all parts are there", action="backup.write",
        body=UploadComplete, answers={200: UploadOutcome, 202: UploadOutcome}, refusals=(409, 413),
        cost=lambda call: line(call.size, UPDATE_LINES),
        example={"parts": 1, "size": 10240, "sha256": "", "files": 3, "bytes": 81920},
        description="202 while the hub puts it together and compares its sha256 with what the store holds: ask again. "
        "200 when it is whole. 409: `backup_ended` when it failed, `parts_missing`, `parts_size`.",
    ),
)  # fmt: skip
