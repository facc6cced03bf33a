"""The Changes of remote access: a session (a lease) opened, and a session as it is after a move. Values only."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from hub.model.actors import Actor
from hub.model.changes import Change

OPEN: Final = ("requested", "starting", "active")
"""States of a session that has not ended; the others are `ended` and `refused`."""
ALLOWED: Final = ("terminal", "ports", "files")
"""What of a machine a session may reach."""


class RemoteSession(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `remote_access_sessions` under its column names. `admin_id` is the holder, None when nobody was named
    (begun at the machine) or the person was removed; `admin_name` stays.

    `expires_at` is when it ends by itself in the state it is in. `origin`: hub, or site (begun with the machine's own
    key). `command_id` is the command that asks the machine to begin, None when it was never asked.
    """

    id: int
    rvm_id: int
    admin_id: int | None
    admin_name: str
    status: str
    start_time: datetime
    expires_at: datetime
    duration_s: float
    created_at: datetime
    reason: str | None = None
    ip_address: str | None = None
    port: int | None = None
    ports: tuple[int, ...] = ()
    allow: tuple[str, ...] = ALLOWED
    origin: str = "hub"
    approved_by: Actor | None = None
    approved_at: datetime | None = None
    end_time: datetime | None = None
    ended_by: Actor | None = None
    end_reason: str | None = None
    command_id: str | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


class SessionOpened(Change, frozen=True, kw_only=True, tag="RemoteSessionOpened"):
    """`session.id` is 0 until the recorder has stored it; `announce` returns the stored Change."""

    session: RemoteSession

    @property
    def rvm_id(self) -> int:
        return self.session.rvm_id


class SessionMoved(Change, frozen=True, kw_only=True, tag="RemoteSessionMoved"):
    """The session as it is after the move. Conflict `status` when it had ended before."""

    session: RemoteSession

    @property
    def rvm_id(self) -> int:
        return self.session.rvm_id
