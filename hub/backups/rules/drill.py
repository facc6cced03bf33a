"""Decides what a restore drill makes true: only what was unpacked and compared is verified.

A drill that could not be made changes nothing; damage is marked on every backup that needs the damaged archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from db.backup_records import BackupRow
from hub.model import actors
from hub.model.actors import Actor
from hub.model.backups import UPLOAD
from hub.model.changes import Change, EventHappened, Patch

BACKUP: Final = "backup"
WEEK: Final = timedelta(days=7)
AGAIN: Final = timedelta(days=1)
UNKNOWN: Final = "unknown_format"
TOO_SLOW: Final = "too_slow"
TIME_AT_LEAST: Final = timedelta(minutes=10)
SLOWEST: Final = 4 * 1024 * 1024
"""Bytes of archives and files a second; no honest archive takes longer."""
DAMAGE: Final = frozenset({"archive_damaged", "archive_unsafe", "too_large", TOO_SLOW, UNKNOWN, "wrong_chain"})
"""Failures that are the backup's own (too_large: than any archive may be); after others (`archive/errors.py`)
another drill may succeed."""
MAX_DETAIL: Final = 500


def chain_of(row: BackupRow, stored: Mapping[int, BackupRow]) -> list[BackupRow] | None:
    """The full first, up to `row`; `stored`: the machine's files by id. None: one is missing."""
    chain = [row]
    while chain[0].parent_id is not None:
        parent = stored.get(chain[0].parent_id)
        if parent is None or parent.id >= chain[0].id:
            return None
        chain.insert(0, parent)
    return chain if chain[0].backup_type == "full" else None


def is_readable(chain: Sequence[BackupRow], room: int) -> bool:
    """By the hub, within `room` bytes of scratch: unencrypted, and small enough unpacked."""
    return not any(row.encrypted for row in chain) and sum(row.bytes_total or 0 for row in chain) < room


def time_for(chain: Sequence[BackupRow]) -> timedelta:
    """Of its drill, so that none holds the others up for ever."""
    size = sum((row.file_size or 0) + (row.bytes_total or 0) for row in chain)
    return TIME_AT_LEAST + timedelta(seconds=size / SLOWEST)


def asked(row: BackupRow, by: Actor, now: datetime) -> list[Change]:
    return [_patch(row, {"drill_at": None}), _event("backup.verify_asked", by, now, row)]


def put_off(row: BackupRow, now: datetime) -> list[Change]:
    """Not made; the weekly drill, or a person, comes back to it."""
    return [_patch(row, {"drill_at": now})]


def passed(
    row: BackupRow, by: Actor, now: datetime, manifest_key: str | None, found: Mapping[str, Any]
) -> list[Change]:
    """`found`: counts, of which `files` and `bytes` are reported."""
    values = {"upload_status": "verified", "verified_at": now, "drill_at": now, "drill_error": None}
    if manifest_key is not None:
        values["manifest_key"] = manifest_key
    counts = {name: found[name] for name in ("files", "bytes") if isinstance(found.get(name), int)}
    return [_patch(row, values), _event("backup.verified", by, now, row, counts)]


class Damage(NamedTuple):
    """`place`: of the damaged archive in its chain."""

    place: int
    code: str
    detail: str


BROKEN: Final = Damage(0, "wrong_chain", "an archive that it builds on is not there")


def lost(place: int) -> Damage:
    return Damage(place, "archive_damaged", "the store has not what was uploaded any more")


def damage_of(chain: Sequence[BackupRow], found: Mapping[str, Any]) -> Damage | None:
    """From the check's last line (`hub.backups.check`); None: no damage, or unknown."""
    last = len(chain) - 1
    if found["event"] == "done":
        sums = zip(chain, found["sha256"], strict=True)
        other = (place for place, (row, sha256) in enumerate(sums) if row.sha256 not in (None, sha256))
        place = next(other, None)
        if place is not None:
            return Damage(place, "archive_damaged", "the store holds other bytes than were uploaded")
        of, row = (found["rvm_id"], found["backup_id"]), chain[last]
        is_own = row.trigger == UPLOAD or of == (row.rvm_id, row.id)
        return None if is_own else Damage(last, "wrong_chain", "it is an archive of another machine or backup")
    code = str(found.get("code"))
    if code not in DAMAGE or (code == UNKNOWN and chain[last].trigger == UPLOAD):
        return None
    place = found.get("archive")
    detail = ": ".join(str(found[name]) for name in ("path", "detail") if found.get(name))
    return Damage(place if isinstance(place, int) and 0 <= place <= last else last, code, detail)


def failed(
    chain: Sequence[BackupRow], damage: Damage, by: Actor, now: datetime, stored: Iterable[BackupRow] = ()
) -> list[Change]:
    """Mark the damaged archive and all that builds on it; `stored`: all of the machine's. The event is of the
    drilled backup."""
    error = {"code": damage.code, "message": damage.detail[:MAX_DETAIL]}
    values = {"upload_status": "completed", "verified_at": None, "drill_at": now, "drill_error": error}
    damaged, drilled = chain[damage.place], chain[-1]
    others = {damaged.id: damaged}
    for row in sorted(stored, key=lambda row: row.id):
        if row.parent_id in others:
            others[row.id] = row
    others.pop(drilled.id, None)
    event = _event("backup.drill_failed", by, now, drilled, {**error, "damaged_id": damaged.id})
    return [*(_patch(row, values, must=None) for row in others.values()), _patch(drilled, values), event]


def of_command(row: BackupRow, state: str, error: Mapping[str, Any] | None, result: Any, now: datetime) -> list[Change]:
    by = actors.machine(row.rvm_id)
    if state == "succeeded":
        return passed(row, by, now, None, result or {})
    code = str((error or {}).get("code", ""))
    if code in DAMAGE:
        return failed([row], Damage(0, code, str((error or {}).get("message", ""))), by, now)
    return put_off(row, now)


def is_week_over(last: datetime, now: datetime) -> bool:
    """Also where the last was by a clock that was ahead."""
    return now - last >= WEEK or last - now > AGAIN


def _patch(row: BackupRow, values: dict[str, Any], must: str | None = BACKUP) -> Patch:
    where = (("rvm_id", "=", row.rvm_id), ("deleted_at", "=", None))
    return Patch(BackupRow, row.id, values, where=where, must=must)


def _event(
    code: str, by: Actor, now: datetime, row: BackupRow, params: Mapping[str, Any] | None = None
) -> EventHappened:
    return EventHappened(at=now, code=code, actor=by, rvm_id=row.rvm_id, params={"backup_id": row.id, **(params or {})})
