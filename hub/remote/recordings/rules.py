"""Changes of terminals' recordings, each with its event. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.records import RecordingRow
from hub.model import actors
from hub.model.actors import Actor
from hub.model.changes import Change, Drop, EventHappened, Patch, Put

RECORDING = "recording"  # The `must` of every Change of a recording: the column named by its Conflict


def began(row: RecordingRow) -> list[Change]:
    by = actors.user(row.user_id)
    return [Put(row), _event("remote.terminal_opened", by, row.started_at, row, {"session_id": row.session_id})]


def ended(recording_id: int, at: datetime, reason: str, *, duration_s: float, size: int, sha256: str) -> Patch:
    values = {
        "state": "waiting", "ended_at": at, "end_reason": reason, "duration_s": duration_s, "size": size,
        "sha256": sha256,
    }  # fmt: skip
    return Patch(RecordingRow, recording_id, values, where=(("state", "=", "recording"),), must=RECORDING)


def stored(recording_id: int, object_key: str) -> Patch:
    """Read back and compared. Conflict when it was deleted meanwhile."""
    values = {"state": "stored", "object_key": object_key}
    return Patch(RecordingRow, recording_id, values, where=(("state", "=", "waiting"),), must=RECORDING)


def lost(row: RecordingRow, at: datetime) -> list[Change]:
    patch = Patch(RecordingRow, row.id, {"state": "lost"}, must=RECORDING)
    return [patch, _event("recording.lost", actors.SYSTEM, at, row)]


def deleted(row: RecordingRow, by: Actor, at: datetime) -> list[Change]:
    """By a person, or expired; its bytes are gone already."""
    why = {"why": "retention"} if by == actors.CLOCK else {}
    return [Drop(RecordingRow, row.id, must=RECORDING), _event("recording.deleted", by, at, row, _ids(row) | why)]


def played(row: RecordingRow, by: Actor, at: datetime) -> EventHappened:
    return _event("recording.played", by, at, row)


def downloaded(row: RecordingRow, by: Actor, at: datetime) -> EventHappened:
    return _event("recording.downloaded", by, at, row)


def _ids(row: RecordingRow) -> dict[str, Any]:
    return {"recording_id": row.id, "session_id": row.session_id}


def _event(
    code: str, by: Actor, at: datetime, row: RecordingRow, params: dict[str, Any] | None = None
) -> EventHappened:
    return EventHappened(at=at, code=code, actor=by, rvm_id=row.rvm_id, params=_ids(row) if params is None else params)
