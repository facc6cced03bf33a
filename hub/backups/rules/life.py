"""Decides a backup's life: drafted, uploaded, ended, deleted. Values in, Changes out. An open backup whose command
has ended has failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from db.backup_records import BACKUP_COUNTER, BackupPartRow, BackupRow
from db.records import CommandRow, CounterRow, is_open
from hub.commands import rules as command_rules
from hub.commands.rules import Refused
from hub.model import actors
from hub.model.actors import Actor
from hub.model.backups import is_good, is_there, open_backup
from hub.model.changes import Change, Drop, EventHappened, Patch, Put, move
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine

START: Final = "start_backup"
MUST: Final = "upload_status"
EXTENSIONS: Final[Mapping[str, str]] = {"gzip": ".tar.gz", "zstd": ".tar.zst", "none": ".tar"}
"""By compression; `.age` follows when encrypted."""


class Wanted(NamedTuple):
    """None: as the machine's settings have it. `group_id`: of one request for many machines."""

    backup_type: str = "incremental"
    include_images: bool | None = None
    include_logs: bool | None = None
    trigger: str = "manual"
    reason: str | None = None
    group_id: str | None = None


class Announced(NamedTuple):
    """What the machine declares of an archive before sending it."""

    backup_type: str
    compression: str
    encrypted: bool


class Archive(NamedTuple):
    """A whole archive in the store. `sha256` of what the store holds; `minio_path` only in S3."""

    size: int
    sha256: str
    files: int | None = None
    bytes_total: int | None = None
    entries: int | None = None
    deleted_entries: int | None = None
    report: dict[str, Any] | None = None
    minio_path: str | None = None


def drafted(
    machine: Machine, backup_id: int, wanted: Wanted, by: Actor, now: datetime, key: str | None = None
) -> list[Change]:
    """A backup and its command; `key`: an Idempotency-Key. Raises Refused: `backups_disabled`, `backup_open` (409),
    and as a command."""
    settings = machine.effective_settings
    if not settings.on("backup_enabled"):
        raise Refused("backups_disabled", 409, "the machine's settings have backup_enabled off")
    if open_backup(machine.backups) is not None:
        raise Refused("backup_open", 409, "a backup of this machine is open already")
    images = settings.on("include_images") if wanted.include_images is None else wanted.include_images
    logs = settings.on("include_logs") if wanted.include_logs is None else wanted.include_logs
    args = {
        "backup_id": backup_id, "backup_type": wanted.backup_type, "include_images": images, "include_logs": logs,
    }  # fmt: skip
    commanded = command_rules.draft(
        machine, START, args, by, now, key, reason=wanted.reason, group_id=wanted.group_id
    )  # fmt: skip
    command = next(change.row for change in commanded if isinstance(change, Put) and isinstance(change.row, CommandRow))
    row = BackupRow(
        id=backup_id, rvm_id=machine.id, backup_type=wanted.backup_type, created_at=now, trigger=wanted.trigger,
        requested_by=by, command_id=command.id, include_images=images, include_logs=logs,
    )  # fmt: skip
    return [*numbered(backup_id), Put(row), *commanded]


def numbered(backup_id: int) -> list[Change]:
    """Before all else that the number is for. Conflict `backup_id`: it, or a later one, was given meanwhile."""
    newest = Patch(
        CounterRow, BACKUP_COUNTER, {"value": backup_id}, where=(("value", "<", backup_id),), must=BACKUP_COUNTER
    )
    return [Put(CounterRow(name=BACKUP_COUNTER, value=0), once=True), newest]


def key_of(row: BackupRow, announced: Announced, random: str) -> str:
    """Object key. `random`: another one for each upload, so that a late part never meets a newer upload."""
    ending = EXTENSIONS[announced.compression] + (".age" if announced.encrypted else "")
    return f"backups/{row.rvm_id}/{row.id}-{random}{ending}"


def manifest_key_of(row: BackupRow) -> str:
    return f"backups/{row.rvm_id}/{row.id}.manifest.gz"


def goes_on(row: BackupRow, announced: Announced) -> bool:
    """Whether the open upload is of the announced archive. One encrypted anew has another key but the same form."""
    return row.upload_id is not None and (row.compression, row.encrypted) == announced[1:]


def begun(
    row: BackupRow,
    announced: Announced,
    parent: BackupRow | None,
    *,
    key: str,
    upload_id: str,
    part_size: int,
    now: datetime,
) -> list[Change]:
    """An upload begins, or begins anew without the parts of the former one."""
    started = move(
        row, upload_status="uploading", backup_type=announced.backup_type, compression=announced.compression,
        encrypted=announced.encrypted, file_path=key, upload_id=upload_id, part_size=part_size,
        started_at=row.started_at or now, **in_chain(row, parent),
    )  # fmt: skip
    return [started, Drop(BackupPartRow, row.id)]


def announced_again(row: BackupRow, announced: Announced, parent: BackupRow | None) -> list[Change]:
    """What the machine has learned since; [] when nothing is new."""
    values = {"backup_type": announced.backup_type, **in_chain(row, parent)}
    news = {name: value for name, value in values.items() if getattr(row, name) != value}
    return [move(row, **news)] if news else []


def in_chain(row: BackupRow, parent: BackupRow | None) -> dict[str, int | None]:
    if parent is None:
        return {"parent_id": None, "chain_id": row.id, "chain_position": 0}
    return {
        "parent_id": parent.id,
        "chain_id": parent.chain_id or parent.id,
        "chain_position": (parent.chain_position or 0) + 1,
    }


def may_follow(row: BackupRow, parent: BackupRow | None, sha256: str = "") -> bool:
    """Whether an incremental may build on it: same machine, good, and the same archive (`sha256` may be empty)."""
    if parent is None or parent.rvm_id != row.rvm_id or parent.id == row.id:
        return False
    return is_good(parent) and sha256 in ("", parent.sha256)


def part_stored(row: BackupRow, part: BackupPartRow) -> list[Change]:
    """Conflict when the upload ended or began anew."""
    still = (("upload_status", "=", "uploading"), ("upload_id", "=", row.upload_id))
    return [Patch(BackupRow, row.id, {}, where=still, must=MUST), Put(part, over=("size", "sha256", "tag"))]


def completed(row: BackupRow, archive: Archive, now: datetime) -> list[Change]:
    """The store holds the archive that the machine sent. Conflict when it had ended."""
    values = {name: value for name, value in archive._asdict().items() if name != "size"}
    done = move(row, upload_status="completed", file_size=archive.size, completed_at=now, upload_id=None, **values)
    params = {"backup_type": row.backup_type, "size": archive.size}
    event = _event(row, "backup.completed", actors.machine(row.rvm_id), now, params)
    return [done, Drop(BackupPartRow, row.id), event]


def received(
    machine: Machine, backup_id: int, backup_type: str, archive: Archive, key: str, by: Actor, now: datetime
) -> list[Change]:
    """A whole archive of a simple client, by a number that was drawn for it; its content is unknown."""
    row = BackupRow(
        id=backup_id, rvm_id=machine.id, backup_type=backup_type, file_path=key, file_size=archive.size,
        upload_status="completed", created_at=now, trigger="upload", requested_by=by, sha256=archive.sha256,
        started_at=now, completed_at=now, minio_path=archive.minio_path, chain_id=backup_id, chain_position=0,
    )  # fmt: skip
    params = {"backup_type": backup_type, "size": archive.size}
    return [Put(row), _event(row, "backup.uploaded", by, now, params)]


def failed(
    row: BackupRow, code: str, by: Actor, now: datetime, *, message: str | None = None, **params: Any
) -> list[Change]:
    """[] when it had ended. Its bytes go with the next sweep, by the key in its row."""
    if not is_open(row):
        return []
    error = {"code": code} if message is None else {"code": code, "message": message}
    over = move(row, upload_status="failed", error=error, completed_at=now, upload_id=None)
    return [over, Drop(BackupPartRow, row.id), _event(row, "backup.failed", by, now, {"code": code, **params})]


def settled(row: BackupRow, command: CommandRow | None, now: datetime) -> list[Change]:
    """How an open backup ends with its command (None: gone); [] otherwise."""
    if command is not None and command.state not in TERMINAL:
        return []
    if command is None:
        return failed(row, "command_gone", actors.CLOCK, now)
    if command.state == "succeeded":
        # The machine says so only when the hub has all of it.
        return failed(row, "not_uploaded", actors.machine(row.rvm_id), now)
    why = command.error or {}
    code = str(why.get("code") or command.state) if command.state in ("failed", "rejected") else command.state
    by = command.cancel_by if command.state == "cancelled" and command.cancel_by else _ended_by(command)
    return failed(row, code, by, now, message=why.get("message"))


def _ended_by(command: CommandRow) -> Actor:
    return actors.machine(command.rvm_id) if command.state in ("failed", "rejected") else actors.CLOCK


def deleted(row: BackupRow, by: Actor, now: datetime, why: str | None = None) -> list[Change]:
    """Its file is gone or goes with the next sweep; the row stays for a while. Conflict when it was deleted already.
    `why`: `retention` by the clock."""
    values = {"deleted_at": now, "manifest_key": None}
    where = (("rvm_id", "=", row.rvm_id), ("deleted_at", "=", None))
    params = {"size": row.file_size} | ({} if why is None else {"why": why})
    return [
        Patch(BackupRow, row.id, values, where=where, must=MUST), _event(row, "backup.deleted", by, now, params),
    ]  # fmt: skip


def needing(row: BackupRow, chain: Iterable[BackupRow]) -> list[BackupRow]:
    """Those of its chain that need it, in order; also one being made."""
    later = [one for one in chain if one.id != row.id and (is_there(one) or is_open(one))]
    after = row.chain_position or 0
    return sorted((one for one in later if (one.chain_position or 0) > after), key=lambda one: one.chain_position or 0)


def downloaded(row: BackupRow, by: Actor, now: datetime) -> EventHappened:
    """On record before the first byte leaves."""
    return _event(row, "backup.downloaded", by, now, {"size": row.file_size})


def gap_in(parts: Sequence[BackupPartRow], wanted: int, size: int, part_size: int) -> str | None:
    """What is missing of the first `wanted` parts of a `size`-byte upload; None: nothing."""
    chosen = [part for part in parts if part.number <= wanted]
    if [part.number for part in chosen] != list(range(1, wanted + 1)):
        return "missing"
    if any(part.size != part_size for part in chosen[:-1]) or sum(part.size for part in chosen) != size:
        return "size"
    return None


class Room(NamedTuple):
    """Bytes; 0: no limit. `kept`: by other backups."""

    of_one: int
    of_machine: int
    of_fleet: int
    kept_of_machine: int
    kept_of_fleet: int


class Over(NamedTuple):
    """`code`: too_large, quota (of the machine), fleet_quota; `most`: bytes that would be taken."""

    code: str
    most: int


def over(room: Room, size: int) -> Over | None:
    checks = (
        ("too_large", room.of_one, 0),
        ("quota", room.of_machine, room.kept_of_machine),
        ("fleet_quota", room.of_fleet, room.kept_of_fleet),
    )
    return next((Over(code, max(0, most - kept)) for code, most, kept in checks if most and size > most - kept), None)


def _event(row: BackupRow, code: str, by: Actor, now: datetime, params: dict[str, Any]) -> EventHappened:
    return EventHappened(at=now, code=code, actor=by, rvm_id=row.rvm_id, params={"backup_id": row.id, **params})
