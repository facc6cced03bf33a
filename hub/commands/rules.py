"""Decides a command's life: drafted, moved, expired, cancelled. Values in, Changes out. It ends in one terminal
state; what comes later is an event. A succeeded `set_status` sets the machine's status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from db.records import CommandRow
from hub.model import actors, credentials
from hub.model.access import ACTIONS, machines_of
from hub.model.changes import OWN, Change, EventHappened, Move, Patch, Put
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine, has_left, is_relayed
from hub.model.views import rfc3339
from hub.status import rules as status_rules
from hub.status.rules import instant
from hub.timezone.rules import may_sync_by_hand
from protocol import messages
from protocol.commands import ARGUMENTS, DESIRED_STATE, SetStatus, SyncTimezone
from protocol.salvage import describe
from protocol.zones import is_zone

DESIRED_STATE_LIFETIME = timedelta(hours=24)  # Desired state waits this long for an offline machine
MAX_RELAYED = 10
"""Open commands that only relay a declaration: they must not crowd out people's."""
MAX_PENDING = 50  # Open commands of one machine; more are refused


class Refused(Exception):  # noqa: N818 - it reads as what happened to a request
    """A command that may not be drafted. `status`: of the HTTP answer."""

    def __init__(self, code: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail


def relay_status(
    machine: Machine,
    wanted: SetStatus,
    actor: actors.Actor,
    now: datetime,
    *,
    reason: str | None = None,
    reading: bool = False,
) -> list[Change]:
    """Draft a `set_status` for a status that was declared past the agent, which would otherwise declare the old one
    again. `reading`: only the capacity is new. [] when the agent cannot take it."""
    waiting = sum(is_relayed(command) for command in machine.asked)
    if "set_status" not in machine.capabilities or waiting >= MAX_RELAYED:
        return []
    try:
        args = msgspec.to_builtins(wanted)
        return draft(machine, "set_status", args, actor, now, reason=reason, reading=reading)
    except Refused:
        return []


def draft(
    machine: Machine,
    name: str,
    args: dict[str, Any],
    actor: actors.Actor,
    now: datetime,
    idempotency_key: str | None = None,
    *,
    reason: str | None = None,
    group_id: str | None = None,
    reading: bool = False,
) -> list[Change]:
    """The Changes that issue a command, the command first. A `reading` of the capacity replaces no person's command.
    Raises Refused: `unknown_command`, `invalid` (422), `still_full`, `not_full`, `manual_sync_off`, `machine_offline`,
    `too_many_pending` (409)."""
    _check_arguments(name, args)
    # Not by `capabilities`: the wire gives them no vocabulary, and a machine answers `unsupported` by itself at once.
    wanted = msgspec.convert(args, SetStatus) if name == "set_status" else None
    if wanted is not None and (failure := status_rules.refused(machine, wanted.status, wanted.capacity)) is not None:
        raise Refused(failure.code, 409, failure.message)
    if name == "sync_timezone" and not may_sync_by_hand(machine):
        raise Refused("manual_sync_off", 409, "the machine's settings do not let people ask for it")
    if name not in DESIRED_STATE and (not machine.linked or machine.row.quarantined_until is not None):
        raise Refused("machine_offline", 409, f"{name} needs the machine online, and it is not connected now")
    if actors.asks(actor):
        args, reason = reasoned(name, args, reason)
    command = CommandRow(
        id=new_id(now),
        rvm_id=machine.id,
        name=name,
        args=args,
        state="queued",
        issued_by=actor,
        issued_at=now,
        expires_at=now + _lifetime(name, args),
        idempotency_key=idempotency_key,
        group_id=group_id,
        reason=reason,
    )
    superseded = supersede(machine, command, now, reading=reading)
    ended = sum(isinstance(change, Move) for change in superseded)
    if len(machine.asked) - ended >= MAX_PENDING:
        raise Refused("too_many_pending", 409, f"the machine already has {MAX_PENDING} open commands")
    return [Put(command), _issued(command), *superseded]


def reasoned(name: str, args: dict[str, Any], reason: str | None) -> tuple[dict[str, Any], str | None]:
    """Arguments and reason of a command; of a `set_status` a missing reason of the command is the status's, and the
    other way round. Idempotent."""
    if name != "set_status":
        return args, reason
    reason = reason or args.get("reason")
    return (args if reason is None else {**args, "reason": args.get("reason") or reason}), reason


def _issued(command: CommandRow) -> EventHappened:
    params: dict[str, Any] = {"command_id": command.id, "name": command.name, "args": command.args}
    if command.group_id is not None:
        params["group_id"] = command.group_id
    if command.reason is not None:
        params["reason"] = command.reason
    if command.args.get("force"):
        # It may end a return session: whoever reads the audit log learns it without knowing every argument.
        params["forced"] = True
    return EventHappened(
        at=command.issued_at, code="command.issued", actor=command.issued_by, rvm_id=command.rvm_id, params=params
    )


def new_id(now: datetime) -> str:
    """An id that sorts by time and cannot be guessed: 11 hex digits of ms, 16 random ones."""
    return f"{int(now.timestamp() * 1000):011x}-{credentials.random_hex(16)}"


def wire(command: CommandRow) -> messages.Command:
    return messages.Command(
        id=command.id,
        name=command.name,
        args=command.args,
        issued_at=rfc3339(command.issued_at),
        expires_at=rfc3339(command.expires_at),
    )


def to_deliver(machine: Machine, now: datetime) -> list[CommandRow]:
    """The open commands within their deadline, also those sent before, oldest first. Relayed capacities stand before
    other unsent ones: they must not undo later commands."""

    def turn(command: CommandRow) -> tuple[int, datetime, str]:
        passed_on = is_relayed(command) and "capacity" in command.args
        rank = 0 if has_left(machine, command) else 1 if passed_on else 2
        return rank, command.issued_at, command.id

    return sorted((c for c in machine.pending.values() if c.expires_at > now), key=turn)


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
    if isinstance(wanted, SyncTimezone) and wanted.timezone is not None and not is_zone(wanted.timezone):
        raise Refused("invalid", 422, "timezone: not a name of the IANA time zone database")


GRACE = timedelta(seconds=4)  # An update may come this long after the deadline: it is on its way

SLACK: Final = timedelta(seconds=5)
"""A clock that was set back by less is let be."""
IMMEDIATE_LIFETIME = timedelta(seconds=60)  # An immediate command expires after this (protocol.md, Promises)
REBOOT_LIFETIME = timedelta(minutes=5)
GOING_DOWN = "rebooting"  # The phase from which a reboot cannot be taken back
BACKUPS: Final = frozenset({"start_backup", "restore_backup", "verify_backup"})
"""May take hours: their progress moves the deadline."""
BACKUP_SILENCE = timedelta(hours=1)  # Without progress of a backup
BACKUP_LIFETIME = timedelta(hours=24)  # Of a backup since its beginning

_NAMED_BY = {"set_status": "capacity", "sync_timezone": "timezone"}
"""The argument that says more than a command without it."""
MOVED_BY: Final = timedelta(minutes=1)
"""A deadline that moves by less is not stored."""
PROGRESS: Final = ("state", "sent_at", "progress", "expires_at")
_PROGRESS_ORDER = {"queued": 0, "sent": 1, "accepted": 2, "running": 3}


def sent(command: CommandRow, now: datetime) -> list[Change]:
    if command.state != "queued":
        return []
    return [_move(command, state="sent", sent_at=now)]


def end_of(update: messages.CommandUpdate) -> str:
    """The terminal state of an update: a refusal of what was withdrawn or came too late is `cancelled` or `expired`."""
    code = None if update.error is None else update.error.code
    return code if update.state == "rejected" and code in ("cancelled", "expired") else update.state


def moved(machine: Machine, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """What a machine's update changes; [] when nothing is new. A terminal state brings its event, and a succeeded
    `set_status` the status, declared by the issuer."""
    command = machine.pending.get(update.id)
    if command is None:
        return []
    if update.state not in TERMINAL:
        return _progress(command, update, now)
    after = _move(
        command,
        state=end_of(update),
        finished_at=now,
        sent_at=command.sent_at or now,
        progress=None,
        result=update.result,
        error=None if update.error is None else {"code": update.error.code, "message": update.error.message},
    )
    changes: list[Change] = [after, _finished(after.row, actors.machine(machine.id), now)]
    if command.name == "set_status" and update.state == "succeeded":
        changes += status_rules.set_by_command(machine, command, now)
    return changes


def late(ended: CommandRow, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """The event of a final update that came after the command had ended otherwise; [] for a repeat."""
    state = end_of(update)
    if update.state not in TERMINAL or state == ended.state:
        return []
    params: dict[str, Any] = {"command_id": ended.id, "name": ended.name, "state": state, "was": ended.state}
    if update.error is not None:
        params["error"] = update.error.code
    event = EventHappened(
        at=now, code="command.late", actor=actors.machine(ended.rvm_id), rvm_id=ended.rvm_id, params=params,
        boot_id=f"{OWN}late {ended.id}", seq=0,
    )  # fmt: skip
    return [event]


def _lifetime(name: str, args: Mapping[str, Any]) -> timedelta:
    """For beginning."""
    if name in DESIRED_STATE:
        return DESIRED_STATE_LIFETIME
    return IMMEDIATE_LIFETIME + timedelta(seconds=args.get("delay", 0))


def is_due(command: CommandRow, now: datetime) -> bool:
    return command.expires_at <= now or _is_too_far(command, now)


def _is_too_far(command: CommandRow, now: datetime) -> bool:
    """Its deadline, because the clock was set back."""
    begun = command.state == "running" or command.progress is not None
    return not begun and command.expires_at - now > _lifetime(command.name, command.args) + SLACK


def brought_nearer(command: CommandRow, now: datetime) -> list[Change]:
    """A deadline that the clock moved away, [] for any other. Written behind: of a commit under way the machine's own
    reports would be turned back."""
    if not _is_too_far(command, now):
        return []
    return [_move(command, expires_at=now + _lifetime(command.name, command.args))]


def expire(machine: Machine, command: CommandRow, now: datetime) -> list[Change]:
    """End a command whose deadline is over, a sent one a little later; [] before that."""
    left = has_left(machine, command)
    if now < command.expires_at + (GRACE if left else timedelta(0)):
        return []
    why = "the machine did not say in time what became of it" if left else "it never left the hub: the machine was away"
    # `by` distinguishes it from a machine's own report that the command came too late and was not done.
    error = {"code": "expired", "message": why, "by": "hub"}
    return _end(command, "expired", actors.CLOCK, now, error=error)


def begins_too_late(command: CommandRow, update: messages.CommandUpdate, now: datetime) -> bool:
    """Whether an update is of no effect: the command has ended, or only begins now after its deadline. (A machine that
    polls by REST may have read it in time.)"""
    begins = update.state not in TERMINAL and command.state in ("queued", "sent")
    return command.state in TERMINAL or (begins and now >= command.expires_at)


def cancel(machine: Machine, command: CommandRow, actor: actors.Actor, now: datetime) -> list[Change]:
    """End a command that was never sent, else ask the machine to stop it. [] when it has ended or was asked already."""
    if command.state in TERMINAL or command.cancel_at is not None:
        return []
    if not has_left(machine, command):
        return _end(command, "cancelled", actor, now, cancel_by=actor, cancel_at=now)
    # A patch alone, so that it cannot turn back what the command became meanwhile.
    asked = Patch(CommandRow, command.id, {"cancel_by": actor, "cancel_at": now}, while_open=True, must="state")
    params = {"command_id": command.id, "name": command.name}
    return [
        asked,
        EventHappened(at=now, code="command.cancel_asked", actor=actor, rvm_id=command.rvm_id, params=params),
    ]


def supersede(machine: Machine, newer: CommandRow, now: datetime, *, reading: bool = False) -> list[Change]:
    """End older unsent commands that declare no more than the newer one: one without a capacity does not replace one
    with it. A relayed `reading` ends only relayed ones."""
    if newer.name not in _NAMED_BY:
        return []
    more, ended = _NAMED_BY[newer.name], list[Change]()
    for older in machine.pending.values():
        if reading and not is_relayed(older):
            continue
        covered = more not in older.args or more in newer.args
        if older.name == newer.name and covered and not has_left(machine, older):
            why = {"code": "superseded", "message": f"replaced by the newer command {newer.id}"}
            ended += _end(older, "cancelled", newer.issued_by, now, error=why)
    return ended


def withdraw(command: CommandRow, now: datetime) -> list[Change]:
    why = {"code": "not_allowed_any_more", "message": "whoever issued it may not command this machine any more"}
    return _end(command, "cancelled", actors.CLOCK, now, error=why)


def _end(command: CommandRow, state: str, actor: actors.Actor, now: datetime, **values: Any) -> list[Change]:
    if command.state in TERMINAL:
        return []
    after = _move(command, state=state, finished_at=now, **values)
    return [after, _finished(after.row, actor, now)]


def _move(command: CommandRow, **values: Any) -> Move[CommandRow]:
    """The command's next state, written with the members that an earlier move may have left unstored."""
    return Move(msgspec.structs.replace(command, **values), tuple(dict.fromkeys((*PROGRESS, *values))))


def _progress(command: CommandRow, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """A state before the end. Forward only: a late `accepted` does not undo `running`."""
    if _PROGRESS_ORDER[update.state] < _PROGRESS_ORDER[command.state]:
        return []
    progress = command.progress if update.progress is None else msgspec.to_builtins(update.progress)
    # Who reads its commands by REST was never sent one: it is known to have it since its first word.
    sent_at = command.sent_at or now
    expires_at = command.expires_at if progress is None else _deadline(command, progress["phase"], sent_at, now)
    repeats = update.state == command.state and progress == command.progress
    if repeats and expires_at - command.expires_at < MOVED_BY:
        return []
    return [_move(command, state=update.state, progress=progress, sent_at=sent_at, expires_at=expires_at)]


def _deadline(command: CommandRow, phase: str, sent_at: datetime, now: datetime) -> datetime:
    """Until when a running command may go on without an update, never earlier than before; the 60 s at its issue were
    for its beginning."""
    if command.name == "reboot" and phase == GOING_DOWN:
        # Calling it expired while the machine starts would be a lie. But a machine that says so again and again gains
        # nothing by it.
        delay = timedelta(seconds=command.args.get("delay", 0))
        latest = command.issued_at + delay + IMMEDIATE_LIFETIME + REBOOT_LIFETIME
        return max(command.expires_at, min(now + REBOOT_LIFETIME, latest))
    if command.name in BACKUPS:
        return max(command.expires_at, min(now + BACKUP_SILENCE, sent_at + BACKUP_LIFETIME))
    return command.expires_at


def _finished(command: CommandRow, actor: actors.Actor, now: datetime) -> EventHappened:
    params: dict[str, Any] = {"command_id": command.id, "name": command.name, "state": command.state}
    if command.group_id is not None:
        params["group_id"] = command.group_id  # where it was asked for may stand on an older page
    if command.error is not None:
        params["error"] = command.error.get("code")
    # Numbered, so that a write of unknown outcome that is repeated leaves one line.
    return EventHappened(
        at=now, code="command.finished", actor=actor, rvm_id=command.rvm_id, params=params,
        boot_id=f"{OWN}finished {command.id}", seq=0,
    )  # fmt: skip


class Issuer(Protocol):
    @property
    def role(self) -> str: ...
    @property
    def disabled_at(self) -> datetime | None: ...
    @property
    def machines(self) -> frozenset[int]: ...


def still_may(issuer: Issuer | None, rvm_id: int) -> bool:
    """Whether the issuer may still command the machine. `issuer` None: the user was removed."""
    if issuer is None or issuer.disabled_at is not None or issuer.role not in ACTIONS["command.send"]:
        return False
    reached = machines_of(issuer.role, issuer.machines)
    return reached is None or rvm_id in reached
