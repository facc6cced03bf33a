"""What the hub remembers of a machine's backups: the open one, the last that ended, the last good one, and
when the next good one is overdue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from db.backup_records import GOOD_BACKUP, BackupRow
from db.records import is_open
from hub.model.effective_settings import EffectiveSettings
from hub.model.machine import Machine

CANCELLED: Final = "cancelled"
UPLOAD: Final = "upload"
VERIFIED: Final = "verified"
ONLY_AGENT: Final = "only_agent"
"""Counted in a report when only the agent's own file was there to save."""
NO_FILES: Final = "no_files"
"""Likewise for sources without any file, in all of them together."""
GRACE: Final = timedelta(days=1)
MISSED: Final = 2
"""Intervals."""
COMMAND: Final = "start_backup"


def is_there(row: BackupRow) -> bool:
    return row.upload_status in GOOD_BACKUP and row.deleted_at is None


def is_good(row: BackupRow) -> bool:
    """Whether it may be built upon and counted on: what the machine archived is in the store, and no drill has failed.
    What a simple client uploaded may be any file, so it counts only once it was verified."""
    is_known = row.trigger != UPLOAD or row.upload_status == VERIFIED
    return is_there(row) and row.drill_error is None and is_known


def brings_nothing_back(row: BackupRow) -> bool:
    """Whether a restore would bring nothing back."""
    counts = (row.report or {}).get("counts")
    is_noted = isinstance(counts, Mapping) and (ONLY_AGENT in counts or NO_FILES in counts)
    return is_noted or (row.backup_type == "full" and row.files == 0)  # an older agent notes nothing


def was_cancelled(row: BackupRow) -> bool:
    return row.upload_status == "failed" and (row.error or {}).get("code") == CANCELLED


def remembered(rows: Iterable[BackupRow]) -> dict[int, BackupRow]:
    known = sorted(rows, key=lambda row: row.id)
    ended = [row for row in known if not is_open(row)]
    tried = [row for row in ended if not was_cancelled(row)]
    good = [row for row in known if is_good(row)]
    verified = [row for row in good if row.upload_status == VERIFIED]
    return {
        row.id: row
        for row in (*good[-1:], *verified[-1:], *tried[-1:], *ended[-1:], *(row for row in known if is_open(row)))
    }


def newest(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    return backups[max(backups)] if backups else None


def last_good(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    return _last(filter(is_good, backups.values()))


def last_verified(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    """The newest that was restored somewhere and compared."""
    return _last(row for row in backups.values() if is_good(row) and row.upload_status == VERIFIED)


def open_backup(backups: Mapping[int, BackupRow]) -> BackupRow | None:
    """The one that is being made, or waits for the machine."""
    return min(filter(is_open, backups.values()), key=lambda row: row.id, default=None)


def failed_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    """When the last one failed; None: the last one that ended without being cancelled did not fail."""
    ended = _last(row for row in backups.values() if not is_open(row) and not was_cancelled(row))
    return _ended_at(ended) if ended is not None and ended.upload_status == "failed" else None


def cancelled_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    """When a person cancelled the last one; None: the last one that ended was not cancelled."""
    ended = _last(row for row in backups.values() if not is_open(row))
    return _ended_at(ended) if ended is not None and was_cancelled(ended) else None


def drill_failed_at(backups: Mapping[int, BackupRow]) -> datetime | None:
    there = _last(filter(is_there, backups.values()))
    return None if there is None or there.drill_error is None else there.drill_at


def interval_of(settings: EffectiveSettings) -> timedelta:
    seconds = settings.values["backup_interval"]
    return timedelta(seconds=float(seconds) if isinstance(seconds, (int, float)) else 0.0)


def late_at(settings: EffectiveSettings, since: datetime) -> datetime | None:
    """From when on a good backup is overdue; None: never. `since`: its last good backup, else enrolment."""
    if not settings.on("backup_enabled"):
        return None
    return since + MISSED * interval_of(settings) + GRACE


def unable(machine: Machine) -> str | None:
    """Why the machine makes no backups, whatever its settings: `simulated`, `never` (what it can do is unknown),
    `unsupported`; None: it can."""
    if machine.row.simulated:
        return "simulated"
    if COMMAND in machine.capabilities:
        return None
    return "never" if machine.last_seen_at is None and not machine.linked else "unsupported"


def is_backed_up(machine: Machine) -> bool:
    """Whether the machine is asked for backups by schedule."""
    return unable(machine) is None and machine.effective_settings.on("backup_enabled")


def late_of(machine: Machine) -> datetime | None:
    """From when on a good backup is overdue; None: it makes none by schedule."""
    return _late_behind(machine, last_good(machine.backups))


def unverified_of(machine: Machine) -> datetime | None:
    """From when on a verified backup is overdue; None: it makes none by schedule."""
    return _late_behind(machine, last_verified(machine.backups))


def _late_behind(machine: Machine, last: BackupRow | None) -> datetime | None:
    if not is_backed_up(machine):
        return None
    since = machine.row.created_at if last is None else last.completed_at or last.created_at
    return late_at(machine.effective_settings, since)


def is_late(machine: Machine, now: datetime) -> bool:
    late = late_of(machine)
    return late is not None and late <= now


def is_unverified(machine: Machine, now: datetime) -> bool:
    """Whether good backups come, but none could be verified for too long."""
    since = unverified_of(machine)
    return since is not None and since <= now and not is_late(machine, now)


def _last(rows: Iterable[BackupRow]) -> BackupRow | None:
    return max(rows, key=lambda row: row.id, default=None)


def _ended_at(row: BackupRow) -> datetime:
    return row.completed_at or row.created_at
