"""Commands drafted: may it be asked at all, until when, and how the machine hears it. Values in, Changes out.

What becomes of a command afterwards: `hub.commands.rules.life`. Nothing is sent here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.commands.rules import life
from hub.model import actors, credentials
from hub.model.changes import Change, Command, CommandDrafted, CommandMoved, EventHappened
from hub.model.machine import Machine, has_left, is_relayed
from hub.model.timezones import may_sync_by_hand
from hub.model.views import rfc3339
from hub.status.rules import status as status_desk
from hub.status.rules.declarations import instant
from protocol import messages
from protocol.commands import ARGUMENTS, DESIRED_STATE, SetStatus, SyncTimezone
from protocol.salvage import describe
from protocol.zones import is_zone

PATIENCE = timedelta(hours=24)
"""How long desired state waits for an offline machine."""
MOST_TOLD = 10
"""Open commands that only pass on what the machine's own software declared: they must not crowd out people's."""
MAX_PENDING = 50
"""Open commands of one machine; more are refused, so that a machine that is away for long cannot be buried."""


class Refused(Exception):  # noqa: N818 - it reads as what happened to a request
    """The command may not be drafted now: `code` for programs, `status` the HTTP status that says it."""

    def __init__(self, code: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail


def tell_status(
    machine: Machine,
    wanted: SetStatus,
    actor: actors.Actor,
    now: datetime,
    *,
    reason: str | None = None,
    reading: bool = False,
) -> list[Change]:
    """What was declared past the machine's agent (by REST, by the clock) is told to it, or it would declare the old
    status again at its next hello. `reason`: the one that whoever tells gave himself; `wanted` may carry another's.
    `reading`: only the capacity is new. [] when it takes no such command, or none now: what it says next is the
    truth."""
    waiting = sum(is_relayed(command) for command in machine.pending.values())
    if "set_status" not in machine.capabilities or waiting >= MOST_TOLD:
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
    """CommandDrafted (first), its event, and the end of older wishes that it stands for; a `reading` of the capacity
    stands for nobody's wish. Raises Refused:
    `unknown_command` and `invalid` (422), `still_full`, `not_full`, `manual_sync_off`,
    `machine_offline`, `too_many_pending` (409)."""
    _check_arguments(name, args)
    # Not by `capabilities`: the wire gives them no vocabulary, and a machine answers `unsupported` by itself at once.
    if name == "set_status" and (failure := _impossible(machine, args)) is not None:
        raise Refused(failure.code, 409, failure.message)
    if name == "sync_timezone" and not may_sync_by_hand(machine):
        raise Refused("manual_sync_off", 409, "the machine's settings do not let people ask for it")
    waits = name in DESIRED_STATE
    if not waits and (not machine.linked or machine.quarantined_until is not None):
        raise Refused("machine_offline", 409, f"{name} needs the machine online, and it is not connected now")
    if actors.asks(actor):
        args, reason = reasoned(name, args, reason)
    command = Command(
        id=new_id(now),
        rvm_id=machine.id,
        name=name,
        args=args,
        state="queued",
        issued_by=actor,
        issued_at=now,
        expires_at=now + (PATIENCE if waits else life.IMMEDIATE + timedelta(seconds=args.get("delay", 0))),
        idempotency_key=idempotency_key,
        group_id=group_id,
        reason=reason,
    )
    superseded = life.supersede(machine, command, now, reading=reading)
    ended = sum(isinstance(change, CommandMoved) for change in superseded)
    if len(machine.pending) - ended >= MAX_PENDING:
        raise Refused("too_many_pending", 409, f"the machine already has {MAX_PENDING} open commands")
    return [CommandDrafted(command=command), _issued(command), *superseded]


def reasoned(name: str, args: dict[str, Any], reason: str | None) -> tuple[dict[str, Any], str | None]:
    """Why a status is wished for is also why the machine will have it: each is taken for the other when it is left out.
    Doing it twice changes nothing."""
    if name != "set_status":
        return args, reason
    reason = reason or args.get("reason")
    return (args if reason is None else {**args, "reason": args.get("reason") or reason}), reason


def _issued(command: Command) -> EventHappened:
    params: dict[str, Any] = {"command_id": command.id, "name": command.name, "args": command.args}
    if command.group_id is not None:
        params["group_id"] = command.group_id
    if command.reason is not None:
        params["reason"] = command.reason
    if command.args.get("force"):
        # It may end a return session: whoever reads the record is told without knowing every argument.
        params["forced"] = True
    return EventHappened(
        at=command.issued_at, code="command.issued", actor=command.issued_by, rvm_id=command.rvm_id, params=params
    )


def new_id(now: datetime) -> str:
    """Sortable by time, unguessable: 11 hex digits of milliseconds, 16 random ones."""
    return f"{int(now.timestamp() * 1000):011x}-{credentials.random_text(16, '0123456789abcdef')}"


def wire(command: Command) -> messages.Command:
    """As the machine hears it."""
    return messages.Command(
        id=command.id,
        name=command.name,
        args=command.args,
        issued_at=rfc3339(command.issued_at),
        expires_at=rfc3339(command.expires_at),
    )


def to_deliver(machine: Machine, now: datetime) -> list[Command]:
    """What a link of this machine must be told after hello, oldest first: everything open and not past its deadline.
    Commands that were sent on an earlier link go again; the machine answers a known id from its journal.

    A capacity that was only passed on goes before wishes that have not left yet: it repeats the status of then, and
    must not undo what they set. (One that told a new status with it has ended the older ones.)"""

    def turn(command: Command) -> tuple[int, datetime, str]:
        passed_on = is_relayed(command) and "capacity" in command.args
        rank = 0 if has_left(machine, command) else 1 if passed_on else 2
        return rank, command.issued_at, command.id

    return sorted((c for c in machine.pending.values() if c.expires_at > now), key=turn)


def _impossible(machine: Machine, args: dict[str, Any]) -> messages.Failure | None:
    wanted = msgspec.convert(args, SetStatus)
    return status_desk.refused(machine, wanted.status, wanted.capacity)


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
