"""Commands as decisions: drafting, moving, expiring, settling once. Values in, Changes out; nothing is sent here.

A command ends in exactly one terminal state. What would settle it a second time yields no Change at all. What a
succeeded `set_status` means for the machine's status is decided here as well, in the same breath (law 4).
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.core import actors
from hub.core.changes import Change, Command, CommandDrafted, CommandMoved, EventHappened, StatusChanged
from hub.core.fleet import TERMINAL
from hub.core.machine import Machine
from protocol import messages
from protocol.commands import ARGUMENTS, DESIRED_STATE, SetStatus
from protocol.salvage import describe

PATIENCE = timedelta(hours=24)
"""How long desired state waits for an offline machine."""
IMMEDIATE = timedelta(seconds=60)
"""How long an immediate command may take before it expires (protocol.md, Promises)."""
MAX_PENDING = 50
"""Open commands of one machine; more are refused, so that a machine that is away for long cannot be buried."""

_ORDER = {"queued": 0, "sent": 1, "accepted": 2, "running": 3}


class Refused(Exception):  # noqa: N818 - it reads as what happened to a request
    """The command may not be drafted now: `code` for programs, `status` the HTTP status that says it."""

    def __init__(self, code: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail


def draft_status(
    machine: Machine, wanted: SetStatus, actor: actors.Actor, now: datetime, idempotency_key: str | None = None
) -> list[Change]:
    """Ask the machine to take a status; it waits up to 24 h for an offline machine. Raises Refused."""
    return draft(machine, "set_status", msgspec.to_builtins(wanted), actor, now, idempotency_key)


def draft(
    machine: Machine,
    name: str,
    args: dict[str, Any],
    actor: actors.Actor,
    now: datetime,
    idempotency_key: str | None = None,
) -> list[Change]:
    """CommandDrafted (first) and its event. Raises Refused: `unknown_command` and `invalid` (422), `machine_offline`,
    `too_many_pending` (409)."""
    _check_arguments(name, args)
    waits = name in DESIRED_STATE
    if not waits and not machine.linked:
        raise Refused("machine_offline", 409, f"{name} needs the machine online, and it is not connected now")
    if len(machine.pending) >= MAX_PENDING:
        raise Refused("too_many_pending", 409, f"the machine already has {MAX_PENDING} open commands")
    command = Command(
        id=new_id(now),
        rvm_id=machine.id,
        name=name,
        args=args,
        state="queued",
        issued_by=actor,
        issued_at=now,
        expires_at=now + (PATIENCE if waits else IMMEDIATE),
        idempotency_key=idempotency_key,
    )
    event = EventHappened(
        at=now,
        code="command.issued",
        actor=actor,
        rvm_id=machine.id,
        params={"command_id": command.id, "name": name, "args": args},
    )
    return [CommandDrafted(command=command), event]


def new_id(now: datetime) -> str:
    """Sortable by time, unguessable: 11 hex digits of milliseconds, 16 random ones."""
    return f"{int(now.timestamp() * 1000):011x}-{secrets.token_hex(8)}"


def wire(command: Command) -> messages.Command:
    """As the machine hears it."""
    from hub.core.views import rfc3339

    return messages.Command(
        id=command.id,
        name=command.name,
        args=command.args,
        issued_at=rfc3339(command.issued_at),
        expires_at=rfc3339(command.expires_at),
    )


def to_deliver(machine: Machine, now: datetime) -> list[Command]:
    """What a link of this machine must be told after hello, oldest first: everything open and not past its deadline.
    Commands that were sent on an earlier link go again; the machine answers a known id from its journal."""
    return sorted((c for c in machine.pending.values() if c.expires_at > now), key=lambda c: (c.issued_at, c.id))


def sent(command: Command, now: datetime) -> list[Change]:
    if command.state != "queued":
        return []
    return [CommandMoved(command=msgspec.structs.replace(command, state="sent", sent_at=now))]


def moved(machine: Machine, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """What a machine's update does to its own open command; [] when it is settled already or says nothing new.

    A terminal state brings the event, and a succeeded set_status the status it set, declared by who issued it.
    """
    command = machine.pending.get(update.id)
    if command is None:
        return []
    if update.state not in TERMINAL:
        return _progress(command, update)
    after = msgspec.structs.replace(
        command,
        state=update.state,
        finished_at=now,
        sent_at=command.sent_at or now,
        progress=None,
        result=update.result,
        error=None if update.error is None else {"code": update.error.code, "message": update.error.message},
    )
    changes: list[Change] = [CommandMoved(command=after), _finished(after, actors.machine(machine.id), now)]
    if command.name == "set_status" and update.state == "succeeded":
        changes += _status_set(machine, command, now)
    return changes


def expire(command: Command, now: datetime) -> list[Change]:
    """The deadline passed without a terminal word; [] before it."""
    return [] if now < command.expires_at else _end(command, "expired", actors.CLOCK, now)


def cancel(command: Command, actor: actors.Actor, now: datetime) -> list[Change]:
    """Withdraw an open command; [] when it has ended. A machine that is running it is told, and may still finish."""
    return _end(command, "cancelled", actor, now)


def _end(command: Command, state: str, actor: actors.Actor, now: datetime) -> list[Change]:
    if command.state in TERMINAL:
        return []
    after = msgspec.structs.replace(command, state=state, finished_at=now)
    return [CommandMoved(command=after), _finished(after, actor, now)]


def _progress(command: Command, update: messages.CommandUpdate) -> list[Change]:
    """Forward only: a late `accepted` does not undo `running`."""
    if _ORDER[update.state] < _ORDER[command.state]:
        return []
    progress = command.progress if update.progress is None else msgspec.to_builtins(update.progress)
    if update.state == command.state and progress == command.progress:
        return []
    return [CommandMoved(command=msgspec.structs.replace(command, state=update.state, progress=progress))]


def _finished(command: Command, actor: actors.Actor, now: datetime) -> EventHappened:
    params: dict[str, Any] = {"command_id": command.id, "name": command.name, "state": command.state}
    if command.error is not None:
        params["error"] = command.error.get("code")
    return EventHappened(at=now, code="command.finished", actor=actor, rvm_id=command.rvm_id, params=params)


def _status_set(machine: Machine, command: Command, now: datetime) -> list[Change]:
    wanted = msgspec.convert(command.args, SetStatus)
    # `until` was checked when the command was drafted; one that cannot be read any more is left out.
    until = instant(wanted.until)
    change = StatusChanged(
        rvm_id=machine.id,
        status=wanted.status,
        special_status=wanted.special_status,
        capacity=machine.capacity if wanted.capacity is None else wanted.capacity,
        since=now,
        by=command.issued_by,
        reason=wanted.reason,
        until=until,
    )
    return status_changes(machine, change)


def status_changes(machine: Machine, change: StatusChanged, *, boot_id: str | None = None) -> list[Change]:
    """A declaration and its event with before and after; [] when it declares what is declared already."""
    before, after = declaration(machine), declaration(change)
    if before == after:
        return []
    event = EventHappened(
        at=change.since,
        code="status.changed",
        actor=change.by,
        rvm_id=machine.id,
        params={} if change.reason is None else {"reason": change.reason},
        before=before,
        after=after,
    )
    return [change, event]


def declaration(of: Machine | StatusChanged) -> dict[str, Any]:
    reason = of.status_reason if isinstance(of, Machine) else of.reason
    until = of.status_until if isinstance(of, Machine) else of.until
    return {
        "status": of.status,
        "special_status": of.special_status,
        "capacity": of.capacity,
        "reason": reason,
        "until": None if until is None else until.isoformat(),
    }


def instant(text: str | None) -> datetime | None:
    """An aware RFC 3339 instant, or None."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        return None
    return None if found.tzinfo is None else found


def _check_arguments(name: str, args: dict[str, Any]) -> None:
    if name not in ARGUMENTS:
        raise Refused("unknown_command", 422, f"there is no command {name[:100]!r}")
    try:
        wanted = msgspec.convert(args, ARGUMENTS[name])
    except msgspec.ValidationError as wrong:
        detail, member = describe(wrong)
        raise Refused("invalid", 422, f"{member or 'args'}: {detail}") from wrong
    if isinstance(wanted, SetStatus) and wanted.until is not None and instant(wanted.until) is None:
        raise Refused("invalid", 422, "until: not an RFC 3339 instant with a zone")
