"""The life of a drafted command, as decisions: moved, expired, cancelled, settled once. Values in, Changes out.

A command ends in exactly one terminal state. What would settle it a second time yields no Change at all. What a
succeeded `set_status` means for the machine's status is decided in the same breath (law 4).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from hub.core import actors, declarations
from hub.core.changes import Change, Command, CommandMoved, EventHappened
from hub.core.fleet import TERMINAL
from hub.core.machine import Machine
from protocol import messages

_ORDER = {"queued": 0, "sent": 1, "accepted": 2, "running": 3}


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
        changes += declarations.set_by_command(machine, command, now)
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
