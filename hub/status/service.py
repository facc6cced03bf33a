"""The end of a status that was declared until a certain time, for machines that cannot end it themselves.

The hub's clock gives back what was before; a machine that takes commands is told so as well, or it would declare the
old status again at its next hello. What ends is in the rows, so a restart of the hub forgets none.
"""

from __future__ import annotations

from datetime import datetime

from hub.commands.rules import draft
from hub.kernel.announce import Announcer, announce_each
from hub.model import actors
from hub.model.changes import Change
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.status.rules import status


async def give_back_due(fleet: Fleet, announce: Announcer, now: datetime) -> None:
    """Every status whose time has come. Raises StoreError when the database is away."""
    due = [machine for machine in fleet.machines.values() if machine.status_until and status.is_due(machine, now)]
    await announce_each(announce, due, lambda machine: [*status.given_back(machine, now), *_told(machine, now)])


def _told(machine: Machine, now: datetime) -> list[Change]:
    """A machine that gives back by itself needs no telling."""
    if status.GIVES_BACK in machine.capabilities:
        return []
    return draft.tell_status(machine, status.to_give_back(machine), actors.CLOCK, now)
