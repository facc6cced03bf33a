"""What the hub remembers of a machine's backups: the open one, the last that ended, the last good one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from db.backup_records import GOOD_BACKUP, BackupRow
from db.records import is_open

CANCELLED: Final = "cancelled"
ONLY_AGENT: Final = "only_agent"
"""Counted in a report when only the agent's own file was there to save."""


def is_there(row: BackupRow) -> bool:
    return row.upload_status in GOOD_BACKUP and row.deleted_at is None


def is_good(row: BackupRow) -> bool:
    return is_there(row) and row.drill_error is None


def holds_agent_alone(row: BackupRow) -> bool:
    """Whether a restore would bring nothing back."""
    counts = (row.report or {}).get("counts")
    return isinstance(counts, Mapping) and ONLY_AGENT in counts


def was_cancelled(row: BackupRow) -> bool:
    return row.upload_status == "failed" and (row.error or {}).get("code") == CANCELLED


def remembered(rows: Iterable[BackupRow]) -> dict[int, BackupRow]:
    known = sorted(rows, key=lambda row: row.id)
    ended = [row for row in known if not is_open(row)]
    tried = [row for row in ended if not was_cancelled(row)]
    good = [row for row in known if is_good(row)]
    return {row.id: row for row in (*good[-1:], *tried[-1:], *ended[-1:], *(row for row in known if is_open(row)))}


def newest(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    return backups[max(backups)] if backups else None


def last_good(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    return _last(filter(is_good, backups.values()))


def open_backup(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    """Being made, or waiting for the machine."""
    return min(filter(is_open, backups.values()), key=lambda row: row.id, default=None)


def failed_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    """When the last one that ended by itself failed."""
    ended = _last(row for row in backups.values() if not is_open(row) and not was_cancelled(row))
    return _ended_at(ended) if ended is not None and ended.upload_status == "failed" else None


def cancelled_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    """When the last one that ended was cancelled by a person."""
    ended = _last(row for row in backups.values() if not is_open(row))
    return _ended_at(ended) if ended is not None and was_cancelled(ended) else None


def drill_failed_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    there = _last(filter(is_there, backups.values()))
    return None if there is None or there.drill_error is None else there.drill_at


def _last(rows: Iterable[BackupRow]) -> BackupRow | None:
    return max(rows, key=lambda row: row.id, default=None)


def _ended_at(row: BackupRow) -> datetime:
    return row.completed_at or row.created_at
