"""The Changes of recorded terminals, as values like those of `hub.model.changes`. Knows no file and no object store."""

from __future__ import annotations

from datetime import datetime

from hub.model.changes import Change


class RecordingBegan(Change, frozen=True, kw_only=True):
    """A terminal is open and recorded. `id` is None until it is stored."""

    session_id: int
    rvm_id: int
    machine_name: str
    user_id: int
    user_name: str
    ip_address: str | None
    reason: str | None
    at: datetime
    input_recorded: bool
    cols: int
    rows: int
    id: int | None = None


class RecordingEnded(Change, frozen=True, kw_only=True):
    """Finished: a file on the hub's own disk until the object store has it."""

    recording_id: int
    at: datetime
    reason: str
    duration_s: float
    size: int
    sha256: str


class RecordingStored(Change, frozen=True, kw_only=True):
    """The object store has it, read back and compared."""

    recording_id: int
    object_key: str


class RecordingLost(Change, frozen=True, kw_only=True):
    """Its file is gone from the hub's disk before the object store had it: somebody's hand, or a broken disk."""

    recording_id: int


class RecordingDeleted(Change, frozen=True, kw_only=True):
    """By a person or by retention; its bytes are gone already."""

    recording_id: int
