"""How a command goes, as its machine tells: shown at once while it goes on, committed and answered when it ends."""

from __future__ import annotations

import logging

from db.commands import find_command
from hub.core import command_life
from hub.core.fleet import TERMINAL
from hub.flow.talk import Talk
from protocol import messages as m

logger = logging.getLogger("myrvm.link")


async def update(talk: Talk, said: m.CommandUpdate) -> None:
    machine = talk.machine
    changes = command_life.moved(machine, said, talk.clock())
    if changes and said.state not in TERMINAL:
        talk.links.tell_soon(machine, changes)
    elif changes:
        if await talk.commit(changes, said.id):
            talk.link.say(m.Received(ref=said.id))
    elif said.id not in machine.pending:
        await _unexpected(talk, said)


async def _unexpected(talk: Talk, said: m.CommandUpdate) -> None:
    """The command is not open: it has ended before (a repeat), or it is not this machine's at all."""
    row = await talk.patiently(lambda: find_command(talk.store, said.id))
    if row is None or row.rvm_id != talk.machine.id:
        talk.links.tally["foreign"] += 1
        logger.warning("machine %d: settles a command that is not its own: %r", talk.machine.id, said.id)
        talk.link.say(m.Error(code="unknown_command", message="no such command of this machine", ref=said.id))
    elif said.state in TERMINAL:
        talk.link.say(m.Received(ref=said.id))
