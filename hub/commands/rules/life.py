"""The life of a drafted command, as decisions: moved, expired, cancelled, settled once. Values in, Changes out.

A command ends in exactly one terminal state. What would settle it a second time yields no Change at all; what comes
too late leaves a line in the record. What a succeeded `set_status` means for the machine's status is decided in the
same breath (law 4).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.model import actors
from hub.model.changes import OWN, Change, Command, CommandCancelAsked, CommandMoved, EventHappened
from hub.model.fleet import TERMINAL
from hub.model.machine import Machine, has_left, is_relayed
from hub.status.rules import declarations
from protocol import messages

GRACE = timedelta(seconds=4)
"""What left may still be answered for this long after its deadline: the result is on its way."""

IMMEDIATE = timedelta(seconds=60)
"""How long an immediate command may take before it expires (protocol.md, Promises)."""
REBOOT = timedelta(minutes=5)
"""How long a machine that has begun to go down may take to be back and say so: a Jetson needs about one."""
GOING_DOWN = "rebooting"
"""The phase a machine says when the reboot is under way and cannot be taken back."""

_NAMED_BY = {"set_status": "capacity", "sync_timezone": "timezone"}
"""Of the commands for a state: the argument by which a wish says more than one without it."""
_PROGRESS_ORDER = {"queued": 0, "sent": 1, "accepted": 2, "running": 3}


def sent(command: Command, now: datetime) -> list[Change]:
    if command.state != "queued":
        return []
    return [CommandMoved(command=msgspec.structs.replace(command, state="sent", sent_at=now))]


def end_of(update: messages.CommandUpdate) -> str:
    """The state an update ends a command in: what a machine refuses because it was withdrawn, or came too late, is
    `cancelled` or `expired` here."""
    code = None if update.error is None else update.error.code
    return code if update.state == "rejected" and code in ("cancelled", "expired") else update.state


def moved(machine: Machine, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """What a machine's update does to its own open command; [] when it is settled already or says nothing new.

    A terminal state brings the event, and a succeeded set_status the status it set, declared by who issued it.
    """
    command = machine.pending.get(update.id)
    if command is None:
        return []
    if update.state not in TERMINAL:
        return _progress(command, update, now)
    after = msgspec.structs.replace(
        command,
        state=end_of(update),
        finished_at=now,
        sent_at=command.sent_at or now,
        progress=None,
        result=update.result,
        error=None if update.error is None else {"code": update.error.code, "message": update.error.message},
    )
    changes: list[Change] = [CommandMoved(command=after), _finished(after, actors.machine(machine.id), now)]
    if command.name == "set_status" and update.state == "succeeded":
        changes += declarations.set_by_command(machine, command, now)
    return changes


def late(ended: Command, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """A final word about a command that has ended; [] when it is the same end, said again. It changes nothing, but
    what the machine did is on record, once however often it says so."""
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


def expire(machine: Machine, command: Command, now: datetime) -> list[Change]:
    """The deadline passed without a terminal word (what left has a little longer); [] before it."""
    left = has_left(machine, command)
    if now < command.expires_at + (GRACE if left else timedelta(0)):
        return []
    why = "the machine did not say in time what became of it" if left else "it never left the hub: the machine was away"
    # `by` tells it from a machine's own word that the command came too late and was not done.
    error = {"code": "expired", "message": why, "by": "hub"}
    return _end(msgspec.structs.replace(command, error=error), "expired", actors.CLOCK, now)


def begins_too_late(command: Command, update: messages.CommandUpdate, now: datetime) -> bool:
    """Whether the machine says that it begins what it may not begin any more. A link is never told such a command; who
    asks by REST may have seen it while there was time."""
    begins = update.state not in TERMINAL and command.state in ("queued", "sent")
    return command.state in TERMINAL or (begins and now >= command.expires_at)


def cancel(machine: Machine, command: Command, actor: actors.Actor, now: datetime) -> list[Change]:
    """Withdraw an open command: at once when it never left, else the machine is asked and has the last word. [] when it
    has ended or was asked for already."""
    if command.state in TERMINAL or command.cancel_at is not None:
        return []
    if not has_left(machine, command):
        return _end(msgspec.structs.replace(command, cancel_by=actor, cancel_at=now), "cancelled", actor, now)
    asked = CommandCancelAsked(rvm_id=command.rvm_id, command_id=command.id, by=actor, at=now)
    params = {"command_id": command.id, "name": command.name}
    return [
        asked,
        EventHappened(at=now, code="command.cancel_asked", actor=actor, rvm_id=command.rvm_id, params=params),
    ]


def supersede(machine: Machine, newer: Command, now: datetime, *, reading: bool = False) -> list[Change]:
    """A newer wish for a state takes the place of older ones that never left, where it declares all that they did. A
    `reading` of the capacity that is passed on takes only that of older ones like it.

    A wish without a capacity leaves the capacity alone, so it cannot stand for one that names a capacity; a look for
    the zone cannot stand for one that names the zone.
    """
    if newer.name not in _NAMED_BY:
        return []
    more, ended = _NAMED_BY[newer.name], list[Change]()
    for older in machine.pending.values():
        if reading and not is_relayed(older):
            continue
        covered = more not in older.args or more in newer.args
        if older.name == newer.name and covered and not has_left(machine, older):
            why = {"code": "superseded", "message": f"replaced by the newer command {newer.id}"}
            ended += _end(msgspec.structs.replace(older, error=why), "cancelled", newer.issued_by, now)
    return ended


def withdraw(command: Command, now: datetime) -> list[Change]:
    """Whoever issued it may not any more, and it has not left: it never will."""
    why = {"code": "not_allowed_any_more", "message": "whoever issued it may not command this machine any more"}
    return _end(msgspec.structs.replace(command, error=why), "cancelled", actors.CLOCK, now)


def _end(command: Command, state: str, actor: actors.Actor, now: datetime) -> list[Change]:
    if command.state in TERMINAL:
        return []
    after = msgspec.structs.replace(command, state=state, finished_at=now)
    return [CommandMoved(command=after), _finished(after, actor, now)]


def _progress(command: Command, update: messages.CommandUpdate, now: datetime) -> list[Change]:
    """Forward only: a late `accepted` does not undo `running`."""
    if _PROGRESS_ORDER[update.state] < _PROGRESS_ORDER[command.state]:
        return []
    progress = command.progress if update.progress is None else msgspec.to_builtins(update.progress)
    if update.state == command.state and progress == command.progress:
        return []
    # Who reads its commands by REST was never sent one: it is known to have it since its first word.
    after = msgspec.structs.replace(command, state=update.state, progress=progress, sent_at=command.sent_at or now)
    if command.name == "reboot" and progress is not None and progress["phase"] == GOING_DOWN:
        # Its 60 s were for beginning. Calling it expired while the machine starts would be a lie. But a machine that
        # says so again and again gains nothing by it.
        latest = command.issued_at + timedelta(seconds=command.args.get("delay", 0)) + IMMEDIATE + REBOOT
        after = msgspec.structs.replace(after, expires_at=max(command.expires_at, min(now + REBOOT, latest)))
    return [CommandMoved(command=after)]


def _finished(command: Command, actor: actors.Actor, now: datetime) -> EventHappened:
    params: dict[str, Any] = {"command_id": command.id, "name": command.name, "state": command.state}
    if command.error is not None:
        params["error"] = command.error.get("code")
    return EventHappened(at=now, code="command.finished", actor=actor, rvm_id=command.rvm_id, params=params)
