"""One write to the settings, until it is committed or the caller has to look again: the database decides who was first.

Whoever named no version means only the keys they wrote, so their wish is drafted anew on what came in between.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from db.errors import Conflict
from hub.kernel.announce import Announcer
from hub.machine_settings.rules.writes import StaleError, Wish, write_fleet, write_machine
from hub.model.actors import Actor
from hub.model.machine import Machine

TRIES: Final = 5


async def write(announce: Announcer, machine: Machine | None, wish: Wish, actor: Actor, now: datetime) -> bool:
    """For one machine, or the whole fleet (None). False: it changed nothing. Raises StaleError, WrongSettingsError, and
    the StoreErrors of `announce`."""
    fleet = announce.fleet
    for _ in range(TRIES):
        if machine is None:
            owns = (other.desired_settings for other in fleet.machines.values())
            changes = write_fleet(fleet.settings, owns, wish, actor, now)
        else:
            own, local = machine.desired_settings, machine.reported_settings
            changes = write_machine(fleet.settings, machine.id, own, wish, actor, now, local)
        if not changes:
            return False
        try:
            await announce(*changes)
        except Conflict as late:
            if late.column != "version":
                raise
        else:
            return True
    raise StaleError(fleet.settings.written.version if machine is None else machine.effective_settings.version)
