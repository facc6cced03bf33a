"""/rvms/{id}/backups/{backup_id}/restore and /rvms/{id}/restores: restores asked for, previewed, shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from archive.errors import ArchiveError
from archive.manifest import check_path
from db.backup_records import RestoreRow
from db.queries import backups as rows
from db.queries import commands
from db.records import CommandRow
from hub.backups.api import find
from hub.backups.restore import BackupRestores
from hub.backups.rules.restore import RUNNING, RestoreAsked, as_its_command
from hub.commands.api import CommandView
from hub.commands.rules import Refused
from hub.machines.rules import is_name
from hub.model import views
from hub.model.actors import row_id
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Limit, Note
from protocol.kinds import BackupClass
from protocol.limits import MAX_RESTORE_PATHS

RestoreState = Literal["preparing", "running", "succeeded", "failed", "cancelled"]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Paths = Annotated[
    list[Path], msgspec.Meta(min_length=1, max_length=MAX_RESTORE_PATHS, extra={"expect": "expect.restore_paths"})
]


@of_record(RestoreRow)
class RestoreView(msgspec.Struct):
    """`preparing`: the safety backup is being made. `result` of a preview: counts and bytes by class of what would
    be replaced, added, deleted, with examples; of a restore: what was restored."""

    state: RestoreState
    command: CommandView | None
    progress: dict[str, Any] | None


class RestoreRequest(msgspec.Struct):
    """`dry_run`: preview. `classes`, `paths`: only these. Else `confirm` must be the machine's name; `safety`: what
    is there now is backed up first, and without that nothing is restored."""

    dry_run: bool = True
    classes: Annotated[list[BackupClass], msgspec.Meta(min_length=1, max_length=4)] | None = None
    paths: Paths | None = None
    confirm: str | None = None
    reason: Note | None = None
    safety: bool = True


class RestoresQuery(msgspec.Struct):
    limit: Limit = 50


def restore_view(row: RestoreRow, command: Any = None) -> dict[str, Any]:
    shown = None if command is None else views.command_view(command)
    return views.answer(RestoreView, row, command=shown, progress=None if command is None else command.progress)


async def restore_backup(call: Call) -> Answer:
    row, wanted = await find(call), call.body
    if not wanted.dry_run and not is_name(wanted.confirm or "", call.machine.name):
        raise one_wrong("confirm", "restore.confirm", name=call.machine.name)
    for path in wanted.paths or ():
        _check(path)
    asked = RestoreAsked(
        wanted.dry_run, None if wanted.classes is None else tuple(dict.fromkeys(wanted.classes)),
        None if wanted.paths is None else tuple(dict.fromkeys(wanted.paths)), wanted.reason,
    )  # fmt: skip
    by = call.principal.actor
    try:
        restore = await call.context[BackupRestores].start(call.machine, row, asked, by, safety=wanted.safety)
    except Refused as refused:
        if refused.status != 409:
            raise
        raise Problem("conflict", Text(f"refused.{refused.code}"), code=refused.code) from refused
    location = {"Location": f"/api/v2/rvms/{call.machine.id}/restores/{restore.id}"}
    return Answer(restore_view(restore, await command_of(call, restore)), 202, headers=location)


def _check(path: str) -> None:
    try:
        check_path(path)
    except ArchiveError as wrong:
        raise one_wrong("paths", "restore.path", path=path[:200]) from wrong


async def find_restore(call: Call) -> RestoreRow:
    restore_id = row_id(call.request.path_params["restore_id"])
    row = await rows.find_restore(call.context.store, restore_id) if restore_id else None
    if row is None or row.rvm_id != call.machine.id:
        raise not_found()
    return row


async def show_restore(call: Call) -> Answer:
    row = await find_restore(call)
    command = await command_of(call, row)
    return Answer(restore_view(as_its_command(row, command, call.now), command))


async def list_restores(call: Call) -> Answer:
    found = await rows.restores_of(call.context.store, call.machine.id, call.query.limit)
    open_now = call.context.fleet.command
    return Answer([restore_view(await followed(call, row), open_now(row.command_id or "")) for row in found])


async def followed(call: Call, row: RestoreRow) -> RestoreRow:
    """In a list: as its command has it by now."""
    return as_its_command(row, await command_of(call, row), call.now) if row.state == RUNNING else row


async def command_of(call: Call, row: RestoreRow) -> CommandRow | None:
    if row.command_id is None:
        return None
    known = call.context.fleet.command(row.command_id)
    return known or await commands.find_command(call.context.store, row.command_id)


_TAG = "Backups"

OPERATIONS = (
    Operation(
        name="restore_backup", method="POST", path="/v2/rvms/{id}/backups/{backup_id}/restore", handler=restore_backup,
        tag=_TAG, summary="Restore a backup onto its machine, or see what that would do", action="backup.restore",
        body=RestoreRequest, answers={202: RestoreView}, refusals=(409,), headers=("Location",),
        example={"dry_run": False, "classes": ["configuration"], "confirm": "RVM-007", "reason": "new controller"},
        description="By default a preview (`dry_run`). The machine unpacks the backup beside what is there, compares "
        "every file, and exchanges each class as a whole or not at all. Its services are stopped meanwhile. 409 while "
        "the machine is away, another restore is open, or an archive that is needed is not there; with `safety` also "
        "as for a backup.",
    ),
    Operation(
        name="list_restores", method="GET", path="/v2/rvms/{id}/restores", handler=list_restores, tag=_TAG,
        summary="A machine's restores and previews, newest first", action="backup.read", query=RestoresQuery,
        answers={200: list[RestoreView]},
    ),
    Operation(
        name="show_restore", method="GET", path="/v2/rvms/{id}/restores/{restore_id}", handler=show_restore, tag=_TAG,
        summary="How a restore goes, or what came of it", action="backup.read", answers={200: RestoreView},
    ),
)  # fmt: skip
