"""Decides how a remote session goes on and ends, and what it may be used for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from db.records import CommandRow, RemoteSessionRow, is_open
from hub.commands import rules as command_rules
from hub.model import actors
from hub.model.changes import Change, EventHappened, Move, move, moved_rows
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine
from protocol.messages import CommandUpdate

GRACE_S: Final = 60.0  # A session outlives the machine's link by this much
START: Final = "start_remote_access"
STOP: Final = "stop_remote_access"
EXTEND: Final = "extend_remote_access"
MACHINE_REASONS: Final = frozenset(
    {"stopped", "timed_out", "link_lost", "agent_restarted", "machine_rebooted", "revoked", "start_failed", "idle",
     "protocol_error"}
)  # fmt: skip
"""Any other reason of a machine is taken as `stopped`."""


def ends_at(session: RemoteSessionRow) -> datetime:
    return session.expires_at or session.start_time


def allows(session: RemoteSessionRow, part: str) -> bool:
    return part in (session.allow or ())


def find(machines: Iterable[Machine], session_id: int) -> RemoteSessionRow | None:
    for machine in machines:
        if session_id in machine.remote_sessions:
            return machine.remote_sessions[session_id]
    return None


def open_of(machine: Machine) -> list[RemoteSessionRow]:
    return sorted(machine.remote_sessions.values(), key=lambda session: session.id)


def activated(session: RemoteSessionRow, now: datetime, **more: Any) -> list[Change]:
    on_site = session.origin == "site" or session.admin_id is None
    by = actors.machine(session.rvm_id) if on_site else actors.user(session.admin_id or 0)
    return [move(session, status="active", **more), _event(session, "remote.started", by, now, {})]


def ended(
    session: RemoteSessionRow, reason: str, by: actors.Actor, now: datetime, *, note: str | None = None
) -> list[Change]:
    """[] when it had ended."""
    if not is_open(session):
        return []
    params = {"reason": reason} if note is None else {"reason": reason, "note": note}
    return [_over(session, "ended", reason, by, now), _event(session, "remote.ended", by, now, params)]


def refused(session: RemoteSessionRow, code: str, now: datetime) -> list[Change]:
    by = actors.machine(session.rvm_id)
    over = _over(session, "refused", "start_failed", by, now)
    return [over, _event(session, "remote.refused", by, now, {"code": code})]


def declined(session: RemoteSessionRow, by: actors.Actor, now: datetime) -> list[Change]:
    return [_over(session, "refused", "declined", by, now), _event(session, "remote.declined", by, now, {})]


def approved(session: RemoteSessionRow, by: actors.Actor, now: datetime) -> EventHappened:
    """The session moves with the command (hub.remote.rules.requests)."""
    return _event(session, "remote.approved", by, now, {})


def extended(session: RemoteSessionRow, until: datetime, by: actors.Actor, now: datetime) -> list[Change]:
    params = {"expires_at": until.isoformat()}
    return [move(session, expires_at=until), _event(session, "remote.extended", by, now, params)]


def intruder(session: RemoteSessionRow, user_id: int, now: datetime) -> list[Change]:
    by = actors.user(user_id)
    event = _event(session, "remote.intruder", by, now, {"user_id": user_id})
    return [event, *ended(session, "intruder", actors.CLOCK, now)] if is_open(session) else []


def command_ended(machine: Machine, command: CommandRow, now: datetime) -> list[Change]:
    """[] for other commands."""
    if command.name != START:
        return []
    session = next((s for s in machine.remote_sessions.values() if s.command_id == command.id), None)
    if session is None or not is_open(session):
        return []
    if command.state == "succeeded":
        return activated(session, now) if session.status == "starting" else []
    if command.state == "rejected":
        return refused(session, str((command.error or {}).get("code", "")), now)
    return ended(session, "start_failed", actors.machine(machine.id), now)


def command_moved(machine: Machine, update: CommandUpdate, now: datetime) -> list[Change]:
    changes = command_rules.moved(machine, update, now)
    ended = [command for command in moved_rows(changes, CommandRow) if command.state in TERMINAL]
    return changes + [change for command in ended for change in command_ended(machine, command, now)]


def reported_end(machine: Machine, session_id: int, reason: str | None, now: datetime) -> list[Change]:
    """[] when it has ended."""
    session = machine.remote_sessions.get(session_id)
    if session is None:
        return []
    known = reason if reason in MACHINE_REASONS else "stopped"
    return ended(session, known, actors.machine(machine.id), now)


def ended_by_hello(machine: Machine, boot_id: str, held: Iterable[int], now: datetime) -> list[Change]:
    """Active sessions that a hello does not list (`held`). Before the hello changes `machine.boot_id`."""
    reason = "agent_restarted" if machine.row.boot_id == boot_id else "machine_rebooted"
    known, changes = set(held), list[Change]()
    for session in open_of(machine):
        if session.status == "active" and session.id not in known and session.command_id not in machine.pending:
            changes += ended(session, reason, actors.machine(machine.id), now)
    return changes


def time_ended(session: RemoteSessionRow, now: datetime) -> list[Change]:
    return ended(session, "not_approved" if session.status == "requested" else "timed_out", actors.CLOCK, now)


def lost(machine: Machine, session: RemoteSessionRow, now: float) -> bool:
    """`now` is monotonic. One begun on site without a link has none to lose."""
    if machine.linked or session.status != "active" or session.command_id is None:
        return False
    return machine.unlinked_at is None or now - machine.unlinked_at > GRACE_S


def never_began(machine: Machine, session: RemoteSessionRow) -> bool:
    return session.status == "starting" and session.command_id not in machine.pending


def _over(
    session: RemoteSessionRow, status: str, reason: str, by: actors.Actor, now: datetime
) -> Move[RemoteSessionRow]:
    return move(session, status=status, end_time=now, end_reason=reason, ended_by=by)


def _event(
    session: RemoteSessionRow, code: str, actor: actors.Actor, now: datetime, params: dict[str, Any]
) -> EventHappened:
    params = {"session_id": session.id, "holder": session.admin_name or "", **params}
    return EventHappened(at=now, code=code, actor=actor, rvm_id=session.rvm_id, params=params)


def held(
    sessions: Mapping[int, RemoteSessionRow], holder: int, session_id: int | None, now: datetime
) -> RemoteSessionRow | None:
    own = [
        session
        for session in sessions.values()
        if session.admin_id == holder and is_active(session, now) and session_id in (None, session.id)
    ]
    return max(own, key=lambda session: session.id, default=None)


def is_active(session: RemoteSessionRow, now: datetime) -> bool:
    return session.status == "active" and now < ends_at(session)


def opens_port(session: RemoteSessionRow | None, holder: int, port: int, now: datetime) -> bool:
    if session is None or session.admin_id != holder or not is_active(session, now):
        return False
    return allows(session, "ports") and port in (session.ports or ())
