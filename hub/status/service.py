"""Ends a status that was declared until a certain time, for machines that cannot end it themselves.

The hub's clock gives back what was before; a machine that takes commands is told by one, or it would declare the old
status again at its next hello. What ends is in the rows, so a restart of the hub forgets none.
"""

from __future__ import annotations

from datetime import datetime

from hub.commands import rules as command_rules
from hub.kernel.announce import Announcer, announce_each
from hub.model import actors
from hub.model.changes import Change
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.status import rules


async def give_back_due(fleet: Fleet, announce: Announcer, now: datetime) -> None:
    """Every status whose time has come. Raises StoreError when the database is away."""
    due = [machine for machine in fleet.machines.values() if machine.status_until and rules.is_due(machine, now)]
    await announce_each(announce, due, lambda machine: [*rules.given_back(machine, now), *_relayed(machine, now)])


def _relayed(machine: Machine, now: datetime) -> list[Change]:
    """A machine that gives back by itself needs no telling."""
    if rules.GIVES_BACK in machine.capabilities:
        return []
    return command_rules.relay_status(machine, rules.to_give_back(machine), actors.CLOCK, now)
