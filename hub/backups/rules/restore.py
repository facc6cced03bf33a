"""Decides a restore's life: asked for, secured by a backup of what is there now, commanded, ended. Values in,
Changes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from db.backup_records import BackupRow, RestoreRow
from db.records import CommandRow, is_open
from hub.backups.rules.drill import chain_of
from hub.commands import rules as command_rules
from hub.commands.rules import Refused
from hub.model import actors
from hub.model.actors import Actor
from hub.model.backups import is_there
from hub.model.changes import Change, EventHappened, Patch, Put
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine

RESTORE: Final = "restore_backup"
PREPARING: Final = "preparing"
RUNNING: Final = "running"
OPEN_RESTORE: Final = (PREPARING, RUNNING)
MUST: Final = "state"


class RestoreAsked(NamedTuple):
    """None: all."""

    dry_run: bool
    classes: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    reason: str | None = None


def why_not(machine: Machine, row: BackupRow, kept: Sequence[BackupRow], open_ones: Sequence[RestoreRow]) -> str | None:
    """no_archive, chain_missing, restore_open, or None. `kept`: the machine's good backups."""
    if not is_there(row):
        return "no_archive"
    if row.backup_type == "incremental" and chain_of(row, {one.id: one for one in kept}) is None:
        return "chain_missing"
    return "restore_open" if any(one.rvm_id == machine.id for one in open_ones) else None


def commanded(machine: Machine, row: BackupRow, asked: RestoreAsked, by: Actor, now: datetime) -> list[Change]:
    """A restore and its command, at once. Raises Refused."""
    changes, command_id = _command(machine, row.id, asked, by, now)
    restore = _row(row, asked, by, now, state=RUNNING, command_id=command_id)
    return [Put(restore), *changes, *_asked(restore, now)]


def prepared(row: BackupRow, safety: BackupRow, asked: RestoreAsked, by: Actor, now: datetime) -> list[Change]:
    restore = _row(row, asked, by, now, state=PREPARING, safety_backup_id=safety.id)
    return [Put(restore), *_asked(restore, now)]


def after_safety(restore: RestoreRow, machine: Machine | None, safety: BackupRow | None, now: datetime) -> list[Change]:
    """[] while the safety backup is being made; without one nothing is restored."""
    if safety is not None and is_open(safety):
        return []
    if safety is None or not is_there(safety):
        why = (safety.error if safety is not None else None) or {}
        return ended(restore, "failed", now, error={"code": "safety_failed", "message": str(why.get("code", ""))})
    if machine is None:
        return ended(restore, "failed", now, error={"code": "command_gone"})
    asked = RestoreAsked(restore.dry_run, restore.classes, restore.paths, restore.reason)
    try:
        changes, command_id = _command(machine, restore.backup_id, asked, restore.requested_by, now)
    except Refused as refused:
        return ended(restore, "failed", now, error={"code": refused.code, "message": refused.detail})
    values = {"state": RUNNING, "command_id": command_id}
    return [Patch(RestoreRow, restore.id, values, where=((MUST, "=", PREPARING),), must=MUST), *changes]


def after_command(restore: RestoreRow, command: CommandRow | None, now: datetime) -> list[Change]:
    """[] while its command is open."""
    if command is None:
        return ended(restore, "failed", now, error={"code": "command_gone"})
    if command.state not in TERMINAL:
        return []
    if command.state == "succeeded":
        return ended(restore, "succeeded", now, result=command.result)
    state = "cancelled" if command.state == "cancelled" else "failed"
    return ended(restore, state, now, error=command.error or {"code": command.state})


def as_its_command(restore: RestoreRow, command: CommandRow | None, now: datetime) -> RestoreRow:
    """As it will be in a moment when its command is over. Who hears of that end looks at once, and of the row's own,
    when it was a preview, nothing tells."""
    if restore.state != RUNNING or command is None:
        return restore
    found = (change.values for change in after_command(restore, command, now) if isinstance(change, Patch))
    return msgspec.structs.replace(restore, **next(found, {}))


def ended(
    restore: RestoreRow, state: str, now: datetime, *, error: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
) -> list[Change]:  # fmt: skip
    """Conflict when it has moved."""
    values = {"state": state, "finished_at": now, "error": error, "result": result}
    over = Patch(RestoreRow, restore.id, values, where=((MUST, "=", restore.state),), must=MUST)
    if restore.dry_run:
        return [over]
    by = actors.CLOCK if error is not None and error.get("code") == "safety_failed" else actors.machine(restore.rvm_id)
    params: dict[str, Any] = {"restore_id": restore.id, "backup_id": restore.backup_id}
    if state == "succeeded":
        classes = (result or {}).get("classes")
        files = (result or {}).get("files")
        params |= {"files": files, "classes": sorted(classes) if isinstance(classes, dict) else []}
        return [over, EventHappened(at=now, code="backup.restored", actor=by, rvm_id=restore.rvm_id, params=params)]
    params["code"] = str((error or {}).get("code", state))
    return [over, EventHappened(at=now, code="backup.restore_failed", actor=by, rvm_id=restore.rvm_id, params=params)]


def _command(
    machine: Machine, backup_id: int, asked: RestoreAsked, by: Actor, now: datetime
) -> tuple[list[Change], str]:
    args: dict[str, Any] = {"backup_id": backup_id, "dry_run": asked.dry_run}
    if asked.classes is not None:
        args["classes"] = list(asked.classes)
    if asked.paths is not None:
        args["paths"] = list(asked.paths)
    changes = command_rules.draft(machine, RESTORE, args, by, now, reason=asked.reason)
    command = next(change.row for change in changes if isinstance(change, Put) and isinstance(change.row, CommandRow))
    return changes, command.id


def _row(row: BackupRow, asked: RestoreAsked, by: Actor, now: datetime, **values: Any) -> RestoreRow:
    return RestoreRow(
        rvm_id=row.rvm_id, backup_id=row.id, dry_run=asked.dry_run, classes=asked.classes, paths=asked.paths,
        requested_by=by, reason=asked.reason, created_at=now, **values,
    )  # fmt: skip


def _asked(restore: RestoreRow, now: datetime) -> list[Change]:
    """A preview changes nothing and has no event; its command has."""
    if restore.dry_run:
        return []
    params = {"backup_id": restore.backup_id, "safety_backup_id": restore.safety_backup_id}
    return [
        EventHappened(
            at=now, code="backup.restore_asked", actor=restore.requested_by, rvm_id=restore.rvm_id, params=params
        )
    ]
