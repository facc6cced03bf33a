"""The lines that terminals and their recordings leave in the record. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hub.model import actors
from hub.model.actors import Actor
from hub.model.changes import EventHappened


def terminal_opened(by: Actor, at: datetime, rvm_id: int, session_id: int) -> EventHappened:
    return _line("remote.terminal_opened", by, at, rvm_id, {"session_id": session_id})


def played(by: Actor, at: datetime, rvm_id: int, session_id: int, recording_id: int) -> EventHappened:
    return _line("recording.played", by, at, rvm_id, _both(session_id, recording_id))


def downloaded(by: Actor, at: datetime, rvm_id: int, session_id: int, recording_id: int) -> EventHappened:
    return _line("recording.downloaded", by, at, rvm_id, _both(session_id, recording_id))


def deleted(by: Actor, at: datetime, rvm_id: int, session_id: int, recording_id: int) -> EventHappened:
    """By the clock: its time was over."""
    why = {"why": "retention"} if by == actors.CLOCK else {}
    return _line("recording.deleted", by, at, rvm_id, {**_both(session_id, recording_id), **why})


def lost(at: datetime, rvm_id: int, session_id: int, recording_id: int) -> EventHappened:
    return _line("recording.lost", actors.SYSTEM, at, rvm_id, _both(session_id, recording_id))


def _both(session_id: int, recording_id: int) -> dict[str, Any]:
    return {"recording_id": recording_id, "session_id": session_id}


def _line(code: str, by: Actor, at: datetime, rvm_id: int, params: dict[str, Any]) -> EventHappened:
    return EventHappened(at=at, code=code, actor=by, rvm_id=rvm_id, params=params)
