"""Ends statuses whose `until` has come, where the machine cannot. One that takes commands is sent one."""

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
    due = [machine for machine in fleet.machines.values() if machine.row.status_until and rules.is_due(machine, now)]
    await announce_each(announce, due, lambda machine: [*rules.given_back(machine, now), *_relayed(machine, now)])


def _relayed(machine: Machine, now: datetime) -> list[Change]:
    """[] where the machine ends them itself."""
    if rules.GIVES_BACK in machine.capabilities:
        return []
    return command_rules.relay_status(machine, rules.to_give_back(machine), actors.CLOCK, now)
