"""Ends statuses whose `until` has come, where the machine cannot; one that takes commands is sent one. Takes back what
a person has just asked for, of one machine or of many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from db.queries import commands, statuses
from db.records import CommandRow, StatusRow
from hub.commands import api as commands_api
from hub.commands import bulk
from hub.commands import rules as command_rules
from hub.commands import service as command_service
from hub.commands.rules import Refused
from hub.kernel.announce import Announcer, announce_each
from hub.model import actors
from hub.model.changes import Change
from hub.model.fleet import TERMINAL, Fleet
from hub.model.machine import Machine, has_left
from hub.status import rules
from hub.web.api.operation import Call
from hub.web.http.problems import Problem, Text
from protocol.commands import SetStatus


async def give_back_due(fleet: Fleet, announce: Announcer, now: datetime) -> None:
    due = [machine for machine in fleet.machines.values() if machine.row.status_until and rules.is_due(machine, now)]
    await announce_each(announce, due, lambda machine: [*rules.given_back(machine, now), *_relayed(machine, now)])


def _relayed(machine: Machine, now: datetime) -> list[Change]:
    """The command that has the agent take back the status as well; [] where the machine ends it itself."""
    if rules.GIVES_BACK in machine.capabilities:
        return []
    return command_rules.relay_status(machine, rules.to_give_back(machine), actors.CLOCK, now)


class AskedStatus(NamedTuple):
    """What a page confirms after a request; `undo`: it can be taken back."""

    machine: Machine
    command_id: str
    status: str
    undo: bool


async def asked(call: Call, command_id: str) -> AskedStatus | None:
    """The caller's own command, as long as it can be taken back; None afterwards."""
    command = await _own(call, command_id)
    machine = None if command is None else call.context.fleet.machines.get(command.rvm_id)
    if command is None or machine is None or not call.principal.reaches(machine.id):
        return None
    if call.now - command.issued_at > rules.UNDO or command.state == "cancelled":
        return None
    wanted = msgspec.convert(command.args, SetStatus)
    undo = await _undoing(call, machine, command) is not None
    return AskedStatus(machine, command.id, wanted.special_status or wanted.status, undo)


async def take_back(call: Call, machine: Machine, command_id: str) -> str:
    """Cancel a command that has not left the hub, else ask for the status before it. Returns the new command's id, ""
    when the old one was cancelled. Raises Problem 409: nothing to undo."""
    command = await _own(call, command_id)
    if command is None or command.rvm_id != machine.id:
        raise Problem("conflict", Text("undo_over"))
    wanted = await _undoing(call, machine, command)
    if wanted is None:
        raise Problem("conflict", Text("undo_over"))
    if command.state not in TERMINAL and not has_left(machine, command):
        await commands_api.cancel(call, command)
        return ""
    return (await command_service.issue(call, "set_status", msgspec.to_builtins(wanted))).id


async def _own(call: Call, command_id: str) -> CommandRow | None:
    known = call.context.fleet.command(command_id)
    if known is None and 0 < len(command_id) <= 100 and "\x00" not in command_id:
        known = await commands.find_command(call.context.store, command_id)
    mine = known is not None and known.issued_by == call.principal.actor and known.name == "set_status"
    return known if mine else None


async def _undoing(call: Call, machine: Machine, command: CommandRow) -> SetStatus | None:
    at = command.issued_at
    held: Any = next(iter(await statuses.statuses_between(call.context.store, machine.id, at, at)), None)
    return rules.undone(machine, command, held, call.now)


async def take_back_group(call: Call, group_id: str) -> dict[str, Any]:
    """Take back the commands of the caller's group, machine by machine as `take_back`; answers as `bulk.issue_many`. A
    repeat takes back nothing more. Raises Problem 409: no such group, or too late for all."""
    asked = {row.rvm_id: row for row in await _own_group(call, group_id)}
    held = await _held(call, asked.values())
    undo_id, actor = bulk.group_of(call, f"undo {group_id}"), call.principal.actor

    def draft(machine: Machine) -> list[Change] | CommandRow:
        command = asked[machine.id]
        if command.state == "cancelled" and command.cancel_by == actor:
            return command
        wanted = rules.undone(machine, command, held.get(machine.id), call.now)
        if wanted is None:
            raise Refused("undo_over", 409, "the status has changed since")
        if command.state not in TERMINAL and not has_left(machine, command):
            return command_rules.cancel(machine, command, actor, call.now)
        args = msgspec.to_builtins(wanted)
        return command_rules.draft(machine, "set_status", args, actor, call.now, undo_id, group_id=undo_id)

    machines, reaches = call.context.fleet.machines, call.principal.reaches
    targets = [bulk.BulkTarget(rvm_id, machines.get(rvm_id) if reaches(rvm_id) else None) for rvm_id in asked]
    sending = bulk.BulkSending(call, undo_id, draft, keyed=True)
    return await sending.send(targets, await sending.known())


async def _own_group(call: Call, group_id: str) -> list[CommandRow]:
    is_id = 0 < len(group_id) <= 100 and "\x00" not in group_id
    known = await commands.commands_of_group(call.context.store, group_id) if is_id else []
    fleet = call.context.fleet
    mine = [fleet.command(row.id) or row for row in known if rules.may_be_undone(row, call.principal.actor, call.now)]
    if not mine:
        raise Problem("conflict", Text("undo_over"))
    return mine


async def _held(call: Call, asked: Iterable[CommandRow]) -> dict[int, StatusRow]:
    """The status that each machine had when it was asked for another."""
    at: defaultdict[datetime, list[int]] = defaultdict(list)
    for command in asked:
        at[command.issued_at].append(command.rvm_id)
    found: dict[int, StatusRow] = {}
    for issued_at, rvm_ids in at.items():
        found |= await statuses.statuses_at(call.context.store, rvm_ids, issued_at)
    return found
