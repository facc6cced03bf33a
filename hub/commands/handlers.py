"""Handles a machine's command updates; checks the issuers of waiting commands before they are sent."""

from __future__ import annotations

import logging
from functools import partial

import msgspec

from db.queries import users
from db.queries.commands import find_command
from db.records import CommandRow
from hub.commands import rules
from hub.links.session import MessageContext
from hub.model import actors
from hub.model.fleet import TERMINAL
from hub.remote.rules import life as remote_life
from hub.remote.rules import requests
from protocol import free_shape
from protocol import messages as m
from protocol.limits import MAX_RESULT_BYTES

logger = logging.getLogger("myrvm.link")


async def update(context: MessageContext, report: m.CommandUpdate) -> None:
    machine = context.machine
    if not free_shape.fits(report.result, MAX_RESULT_BYTES):
        why = f"result: left out, more than {MAX_RESULT_BYTES} bytes as JSON"
        context.link.send(m.Error(code="invalid", message=why, ref=report.id))
        report = msgspec.structs.replace(report, result=None)
    changes = remote_life.command_moved(machine, report, context.clock())
    if changes and report.state not in TERMINAL:
        context.links.show_progress(machine, changes)
    elif changes:
        command = machine.pending[report.id]
        outcome = await context.attempt(changes, report.id)
        if outcome == "committed":
            await _stop_unknown(context, command, report)
            context.link.send(m.Received(ref=report.id))
        elif outcome == "decided":
            await _ended(context, report)
    elif report.id not in machine.pending:
        await _ended(context, report)


async def check_waiting(context: MessageContext) -> None:
    machine = context.machine
    by_user: dict[int, list[CommandRow]] = {}
    for command_id in context.link.unchecked:
        command = machine.pending.get(command_id)
        user_id = None if command is None else actors.user_of(command.issued_by)
        if command is not None and user_id is not None:
            by_user.setdefault(user_id, []).append(command)
    for user_id, commands in by_user.items():
        user = await context.retry(partial(users.find_user, context.store, user_id))
        if rules.still_may(user, machine.id):
            context.links.rights_checked(context.link, [command.id for command in commands])
        else:
            for command in commands:
                await context.commit(rules.withdraw(command, context.clock()))


async def _ended(context: MessageContext, report: m.CommandUpdate) -> None:
    """An update of a command that is not open: a repeat, too late, or another machine's."""
    row = await context.retry(lambda: find_command(context.store, report.id))
    if row is None or row.rvm_id != context.machine.id:
        context.links.tally["foreign"] += 1
        logger.warning("machine %d: settles a command that is not its own: %s", context.machine.id, report.id)
        context.link.send(m.Error(code="unknown_command", message="no such command of this machine", ref=report.id))
    elif report.state in TERMINAL:
        await _stop_unknown(context, row, report)
        if await context.commit(rules.late(row, report, context.clock()), report.id):
            context.link.send(m.Received(ref=report.id))


async def _stop_unknown(context: MessageContext, command: CommandRow, report: m.CommandUpdate) -> None:
    """Ask the machine to stop a remote session that began after the hub had given it up."""
    if command.name == remote_life.START and report.state == "succeeded":
        held = [command.args["session_id"]]
        await context.commit(requests.unknown_here(context.machine, held, context.clock()))
