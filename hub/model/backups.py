"""What the hub remembers of a machine's backups: the open one, the last that ended, the last good one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from db.backup_records import GOOD_BACKUP, BackupRow
from db.records import is_open


def is_there(row: BackupRow) -> bool:
    """Whether the whole archive is stored."""
    return row.upload_status in GOOD_BACKUP and row.deleted_at is None


def is_good(row: BackupRow) -> bool:
    """Stored, and no drill failed."""
    return is_there(row) and row.drill_error is None


def remembered(rows: Iterable[BackupRow]) -> dict[int, BackupRow]:
    """Of one machine, by id."""
    known = sorted(rows, key=lambda row: row.id)
    ended = [row for row in known if not is_open(row)][-1:]
    good = [row for row in known if is_good(row)][-1:]
    return {row.id: row for row in (*good, *ended, *(row for row in known if is_open(row)))}


def newest(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    return backups[max(backups)] if backups else None


def last_good(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    return max(filter(is_good, backups.values()), key=lambda row: row.id, default=None)


def open_backup(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    """Being made, or waiting for the machine."""
    return min(filter(is_open, backups.values()), key=lambda row: row.id, default=None)


def failed_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    ended = max((row for row in backups.values() if not is_open(row)), key=lambda row: row.id, default=None)
    return ended.completed_at or ended.created_at if ended is not None and ended.upload_status == "failed" else None


def drill_failed_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    """When the last stored one failed its drill."""
    there = max(filter(is_there, backups.values()), key=lambda row: row.id, default=None)
    return None if there is None or there.drill_error is None else there.drill_at
