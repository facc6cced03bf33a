"""/rvms/{id}/backup and /rvms/{id}/backups: backups asked for, shown, listed, deleted. Their bytes: `upload_api` and
`download_api`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from db.backup_records import BackupRow
from db.errors import Conflict
from db.queries import backups as rows
from db.queries import commands
from db.records import CommandRow, is_open
from hub.backups.keeper import retention_of
from hub.backups.rules import keep, life
from hub.backups.rules.life import Wanted
from hub.backups.service import Backups
from hub.backups.upload import store_away
from hub.commands.api import CommandView
from hub.commands.service import HEADER, idempotency_key
from hub.kernel.objects.place import ObjectsError
from hub.model import views
from hub.model.actors import row_id
from hub.model.backups import brings_nothing_back, is_good, newest
from hub.web.api import headers
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import Limit, Note, Row

UploadStatus = Literal["pending", "uploading", "completed", "verified", "failed"]
BackupType = Literal["full", "incremental"]


@of_record(BackupRow, without=("upload_id", "part_size", "manifest_key"))
class BackupView(msgspec.Struct):
    """`file_path`: the archive's name in the object store; `chain_id`: the full it builds on; `verified`: restored
    somewhere and compared; `has_files`: its files can be listed; `only_agent`: no file, or the agent's own alone;
    `good`: counts as one, what a simple client uploaded only when it is verified.
    `expires_at`: null for as long as it is the last good one."""

    backup_type: BackupType
    upload_status: UploadStatus
    trigger: Literal["manual", "schedule", "safety", "upload"]
    has_files: bool
    only_agent: bool
    good: bool


class BackupWanted(msgspec.Struct):
    """What is left out is as the machine's settings have it."""

    backup_type: BackupType = "full"
    include_images: bool | None = None
    include_logs: bool | None = None
    reason: Note | None = None


class BackupStarted(msgspec.Struct):
    backup_id: int
    backup: BackupView
    command: CommandView


class BackupStatus(msgspec.Struct):
    """A machine's newest backup; all null where none was made. `progress` is its command's."""

    backup_id: int | None
    backup_type: BackupType | None
    file_path: str | None
    file_size: int | None
    upload_status: UploadStatus | None
    minio_path: str | None
    created_at: str | None
    uploaded_bytes: int | None
    backup: BackupView | None
    command: CommandView | None
    progress: dict[str, Any] | None


class BackupsQuery(msgspec.Struct):
    """`before`: the last id of the page before. `deleted`: also those whose archive is gone."""

    limit: Limit = 50
    before: Row | None = None
    deleted: bool = False


class DeletionWanted(msgspec.Struct):
    """`chain`: with the incremental ones that need it."""

    chain: bool = False


class DeletedBackups(msgspec.Struct):
    deleted: list[int]


def view(row: BackupRow) -> dict[str, Any]:
    return views.answer(
        BackupView, row, has_files=row.manifest_key is not None, only_agent=brings_nothing_back(row), good=is_good(row)
    )  # fmt: skip


async def _kept(call: Call, found: Iterable[BackupRow]) -> list[dict[str, Any]]:
    kept = keep.kept_until(await rows.kept(call.context.store, call.machine.id), retention_of(call.machine))
    until = {number: one.until for number, one in kept.items() if one.until is not None}
    return [view(replace(row, expires_at=until.get(row.id))) for row in found]


async def find(call: Call) -> BackupRow:
    """404 for an unknown backup and another machine's alike."""
    backup_id = row_id(call.request.path_params["backup_id"])
    row = None
    if backup_id:
        row = call.machine.backups.get(backup_id) or await rows.find(call.context.store, backup_id)
    if row is None or row.rvm_id != call.machine.id:
        raise not_found()
    return row


async def start_backup(call: Call, group_id: str | None = None) -> Answer:
    given: BackupWanted = call.body or BackupWanted()
    wanted = Wanted(
        given.backup_type, given.include_images, given.include_logs, reason=given.reason, group_id=group_id
    )  # fmt: skip
    key = idempotency_key(call)
    command = None if key is None else await commands.find_by_idempotency_key(call.context.store, call.machine.id, key)
    if command is None:
        row, command = await call.context[Backups].start(call.machine, wanted, call.principal.actor, key)
    else:
        row = await _same(call, command, given)
    started = {"backup_id": row.id, "backup": view(row), "command": views.command_view(command)}
    location = {"Location": f"/api/v2/rvms/{call.machine.id}/backups/{row.id}"}
    return Answer(started, 202, Text(f"command.{command.state}"), location)


async def _same(call: Call, command: CommandRow, given: BackupWanted) -> BackupRow:
    row = await rows.of_command(call.context.store, command.id)
    if row is None or command.issued_by != call.principal.actor or row.backup_type != given.backup_type:
        raise Problem("conflict", Text("idempotency_reused"))
    return row


async def show_status(call: Call) -> Answer:
    row = newest(call.machine.backups)
    if row is None:
        return Answer(dict.fromkeys(BackupStatus.__struct_fields__))
    command = None if row.command_id is None else call.context.fleet.command(row.command_id)
    if command is None and row.command_id is not None:
        command = await commands.find_command(call.context.store, row.command_id)
    parts = await rows.parts_of(call.context.store, row.id) if is_open(row) else ()
    flat = views.answer(
        BackupStatus, row, backup_id=row.id, backup=view(row),
        uploaded_bytes=sum(part.size for part in parts) if is_open(row) else row.file_size,
        command=None if command is None else views.command_view(command),
        progress=None if command is None else command.progress,
    )  # fmt: skip
    return Answer(flat)


async def list_backups(call: Call) -> Answer:
    query: BackupsQuery = call.query
    found = await rows.of_machine(
        call.context.store, call.machine.id, query.limit + 1, query.before, with_deleted=query.deleted
    )
    page = found[: query.limit]
    following = page[-1].id if len(found) > len(page) else None
    return Answer(await _kept(call, page), headers=headers.next_page(call.request, before=following))


async def show_backup(call: Call) -> Answer:
    (shown,) = await _kept(call, [await find(call)])
    return Answer(shown)


async def delete_backup(call: Call) -> Answer:
    row, wanted = await find(call), call.query
    if row.deleted_at is not None:
        raise not_found()
    if is_open(row):
        raise Problem("conflict", Text("backup.open"))
    needing = life.needing(row, await rows.chain(call.context.store, row.rvm_id, row.chain_id or row.id))
    if any(is_open(one) for one in needing):
        raise Problem("conflict", Text("backup.chain_open"))
    if needing and not wanted.chain:
        raise Problem("conflict", Text("backup.needed", {"count": len(needing)}), code="backup_needed")
    gone = []
    try:
        for one in (*reversed(needing), row):  # the newest first: what is left can be restored at any moment
            await call.context[Backups].delete(one, call.principal.actor)
            gone.append(one.id)
    except ObjectsError as away:
        raise store_away(away) from away
    except Conflict as late:
        raise not_found() from late
    return Answer({"deleted": gone})


_TAG = "Backups"

OPERATIONS = (
    Operation(
        name="start_backup", method="POST", path="/v2/rvms/{id}/backup/start", handler=start_backup, tag=_TAG,
        summary="Ask a machine for a backup", action="backup.start", body=BackupWanted, body_optional=True,
        answers={202: BackupStarted}, refusals=(409,), parameters={HEADER: "A repeat makes no second backup."},
        headers=("Location",), example={"backup_type": "full", "include_images": True, "include_logs": True},
        description="It waits up to 24 hours for a machine that is away. One at a time: 409 while another one is open, "
        "or where the machine's settings have `backup_enabled` off. An incremental one is made in full where there is "
        "nothing to build on.",
    ),
    Operation(
        name="show_backup_status", method="GET", path="/v2/rvms/{id}/backup/status", handler=show_status, tag=_TAG,
        summary="A machine's newest backup and how it goes", action="backup.read", answers={200: BackupStatus},
    ),
    Operation(
        name="list_backups", method="GET", path="/v2/rvms/{id}/backups", handler=list_backups, tag=_TAG,
        summary="A machine's backups, newest first", action="backup.read", query=BackupsQuery,
        answers={200: list[BackupView]}, headers=("Link",),
    ),
    Operation(
        name="show_backup", method="GET", path="/v2/rvms/{id}/backups/{backup_id}", handler=show_backup, tag=_TAG,
        summary="One backup and its state", action="backup.read", answers={200: BackupView},
    ),
    Operation(
        name="delete_backup", method="DELETE", path="/v2/rvms/{id}/backups/{backup_id}", handler=delete_backup,
        tag=_TAG, summary="Delete a backup's archive for good", action="backup.delete", query=DeletionWanted,
        answers={200: DeletedBackups}, refusals=(409,),
        description="409 with the code `backup_needed` when incremental backups build on it; `chain=true` takes them "
        "along. 503 while the object store is away.",
    ),
)  # fmt: skip
