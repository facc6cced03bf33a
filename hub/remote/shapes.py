"""The shapes of remote access: what is asked for and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hub.web.http.kinds import Instant, Limit, Note, Row

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=1, le=86400)]
Part = Literal["terminal", "ports", "files"]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[!-~]*$(?!\n)")]


class Start(msgspec.Struct):
    """`admin_id` and `ip_address` must be those of the token and the socket; with a machine's own key `admin_id` is who
    it says is there: noted, and not looked up. `port` is the page that is wanted first, `ports` (default: all that the
    machine declares) those that may be opened. `duration` in seconds: 1800 when it is left out, at most the machine's
    `session_timeout`."""

    admin_id: Row | None = None
    ip_address: Address | None = None
    port: Port | None = None
    ports: Annotated[list[Port], msgspec.Meta(max_length=32)] | None = None
    reason: Note | None = None
    duration: Seconds | None = None
    allow: Annotated[list[Part], msgspec.Meta(min_length=1, max_length=10)] | None = None


class Stop(msgspec.Struct):
    """Which session, when there are several; `reason` goes into the record."""

    admin_id: Row | None = None
    reason: Note | None = None
    session_id: Row | None = None


class Extend(msgspec.Struct):
    """`duration`: so many seconds more."""

    duration: Seconds
    session_id: Row | None = None


class Named(msgspec.Struct):
    session_id: Row


class HistoryQuery(msgspec.Struct):
    """Newest first; `before` is the id of the last session of the page before."""

    before: Row | None = None
    limit: Limit = 50


class RemoteSessionView(msgspec.Struct):
    """`status` requested waits for a second person until `expires_at`. `origin` site: begun with the machine's own key.
    `end_reason` (with `ended_by`): stopped, timed_out, idle, link_lost, hub_restarted, agent_restarted,
    machine_rebooted, revoked, intruder, start_failed, not_approved, declined, protocol_error. `recordings` counts those
    of its terminals."""

    id: int
    rvm_id: int
    device_id: str
    admin_id: int | None
    admin_name: str
    status: Literal["requested", "starting", "active", "ended", "refused"]
    start_time: Instant
    expires_at: Instant
    duration_s: float
    created_at: Instant
    reason: str | None
    ip_address: str | None
    port: int | None
    ports: list[int]
    allow: list[Part]
    origin: Literal["hub", "site"]
    approved_by: str | None
    approved_at: Instant | None
    end_time: Instant | None
    ended_by: str | None
    end_reason: str | None
    command_id: str | None
    recordings: int


class StartRefusal(msgspec.Struct):
    """Why the caller cannot begin a session now: `code` for programs, `message` for people."""

    code: str
    message: str


class RemoteStatus(msgspec.Struct):
    """`sessions` are the open ones, oldest first."""

    enabled: bool
    can_open: bool
    refusal: StartRefusal | None
    approval: bool
    declared_ports: list[int]
    max_concurrent_sessions: int
    session_timeout: float
    sessions: list[RemoteSessionView]
