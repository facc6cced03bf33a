"""How the Changes of recorded terminals are written: part of `hub.kernel.recorder`'s table. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from db import recordings
from db.statements import Step
from hub.model.recording_changes import RecordingBegan, RecordingDeleted, RecordingEnded, RecordingLost, RecordingStored

Steps = tuple[Step, ...]


def _began(change: RecordingBegan) -> Steps:
    row = recordings.begin(
        session_id=change.session_id,
        rvm_id=change.rvm_id,
        machine_name=change.machine_name,
        user_id=change.user_id,
        user_name=change.user_name,
        ip_address=change.ip_address,
        reason=change.reason,
        started_at=change.at,
        input_recorded=change.input_recorded,
        cols=change.cols,
        rows=change.rows,
    )
    return (row,)


def _ended(change: RecordingEnded) -> Steps:
    row = recordings.end(
        change.recording_id,
        at=change.at,
        reason=change.reason,
        duration_s=change.duration_s,
        size=change.size,
        sha256=change.sha256,
    )
    return (row,)


RECIPES: Final[Mapping[type, Callable[[Any], Steps]]] = {
    RecordingBegan: _began,
    RecordingEnded: _ended,
    RecordingStored: lambda change: (recordings.stored(change.recording_id, change.object_key),),
    RecordingLost: lambda change: (recordings.lose(change.recording_id),),
    RecordingDeleted: lambda change: (recordings.delete(change.recording_id),),
}
