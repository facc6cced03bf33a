"""Sentences of backups in the audit log. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dashboard import formats
from dashboard.event_reading import NOTHING, EventReading, Parts, Sentence
from dashboard.foreign_text import plain
from dashboard.reader import Reader

_LARGEST: Final = 2**53


def _amount(e: EventReading, name: str) -> str:
    return size(e.r, e.params, name)


def size(r: Reader, params: Mapping[str, Any], name: str = "size") -> str:
    """Of an archive; "" where it is not known."""
    found = params.get(name)
    known = isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _LARGEST
    return formats.amount(found, r.language) if known and isinstance(found, int) else ""


def _kind(e: EventReading) -> str:
    kind = "full" if e.params.get("backup_type") == "full" else "incremental"
    return e.words(f"backup.{kind}")


def _stored(e: EventReading) -> Parts:
    return e.words(e.code, id=e.param("backup_id")), [_kind(e), _amount(e, "size")]


def _sized(e: EventReading) -> Parts:
    over = e.words("backup.retention") if e.params.get("why") == "retention" else ""
    return e.words(e.code, id=e.param("backup_id")), [over, _amount(e, "size")]


def _verified(e: EventReading) -> Parts:
    files = e.params.get("files")
    counted = isinstance(files, int) and not isinstance(files, bool) and 0 <= files <= _LARGEST
    count = e.words("backup.files", count=files, n=e.r.number(files, 0)) if counted and isinstance(files, int) else ""
    return e.words(e.code, id=e.param("backup_id")), [count, _amount(e, "bytes")]


def _failed(e: EventReading) -> Parts:
    if e.code == "backup.failed" and e.params.get("code") == "cancelled":
        return e.words("backup.cancelled", id=e.param("backup_id")), []
    why = e.r.text_of("failure", plain(str(e.params.get("code") or NOTHING), 60))
    damaged = e.params.get("damaged_id")
    other = damaged is not None and damaged != e.params.get("backup_id")
    return e.words(e.code, id=e.param("backup_id"), why=why), [
        e.words("backup.because_of", id=e.param("damaged_id")) if other else ""
    ]


def _plain(e: EventReading) -> Parts:
    return e.words(e.code, id=e.param("backup_id")), []


def _restore_asked(e: EventReading) -> Parts:
    safety = e.params.get("safety_backup_id")
    return e.words(e.code, id=e.param("backup_id")), [
        e.words("backup.safety", id=e.param("safety_backup_id")) if safety is not None else ""
    ]


SENTENCES: Final[Mapping[str, Sentence]] = {
    "backup.completed": _stored,
    "backup.uploaded": _stored,
    "backup.failed": _failed,
    "backup.deleted": _sized,
    "backup.downloaded": _sized,
    "backup.verified": _verified,
    "backup.drill_failed": _failed,
    "backup.verify_asked": _plain,
    "backup.restore_asked": _restore_asked,
    "backup.restored": _verified,
    "backup.restore_failed": _failed,
}
