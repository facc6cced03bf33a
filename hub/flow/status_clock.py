"""The end of a status that was declared until a certain time, for machines that cannot end it themselves.

The hub's clock gives back what was before; a machine that takes commands is told so as well, or it would declare the
old status again at its next hello. What ends is in the rows, so a restart of the hub forgets none.
"""

from __future__ import annotations

import logging
from datetime import datetime

import anyio

from db.errors import StoreError
from hub.core import actors, command_desk, status_desk
from hub.core.changes import Change
from hub.core.fleet import Fleet
from hub.core.machine import Machine
from hub.flow.announce import Announcer

logger = logging.getLogger("myrvm.sweeper")

AT_ONCE = 100


async def give_back_due(fleet: Fleet, announce: Announcer, now: datetime) -> None:
    """Every status whose time has come, many in one transaction."""
    due = [machine for machine in fleet.machines.values() if machine.status_until and status_desk.is_due(machine, now)]
    for start in range(0, len(due), AT_ONCE):
        async with anyio.create_task_group() as tasks:
            for machine in due[start : start + AT_ONCE]:
                tasks.start_soon(_give_back, announce, machine, now)


async def _give_back(announce: Announcer, machine: Machine, now: datetime) -> None:
    try:
        await announce(*status_desk.given_back(machine, now), *_told(machine, now))
    except StoreError as error:
        logger.warning("machine %d: status not given back yet: %s", machine.id, error)


def _told(machine: Machine, now: datetime) -> list[Change]:
    """A machine that gives back by itself needs no telling."""
    if status_desk.GIVES_BACK in machine.capabilities:
        return []
    return command_desk.tell_status(machine, status_desk.to_give_back(machine), actors.CLOCK, now)
