"""`machine add` and `machine list`."""

from __future__ import annotations

import argparse

from db import machines
from db.errors import Conflict
from hub.cli import output, valid
from hub.cli.data_door import now, open_data, settings_of
from hub.cli.exit_codes import CliError, Exit
from hub.cli.language import say
from hub.core import actors, enrolment
from hub.core.changes import MachineAdded


async def add(wanted: argparse.Namespace) -> None:
    """Prints id, device_id and api_key; the key is nowhere else afterwards."""
    name, device_id = valid.name(wanted.name), valid.device_id(wanted.device_id)
    location = valid.location(wanted.location)
    async with open_data(settings_of(wanted), create=True) as door:
        secret, changes = enrolment.new_machine(name, device_id, location, actors.SYSTEM, now())
        try:
            stored = await door.record(*changes)
        except Conflict as error:
            taken = say("machine.taken", column=error.column)
            raise CliError(Exit.CONFLICT, f"{error.column}_taken", taken, say("machine.taken.fix")) from error
    made = next(change for change in stored if isinstance(change, MachineAdded))
    shown = {"id": made.id, "device_id": made.device_id, "name": name, "api_key": secret.text}
    if wanted.json:
        output.result_json(shown)
    else:
        output.result(say("machine.added", **shown))


async def show_all(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as door:
        rows = await machines.all_machines(door.store)
    shown = [
        {
            "id": row.id,
            "device_id": row.device_id,
            "name": row.name,
            "location_description": row.location_description,
            "status": row.special_status or row.status,
            "simulated": row.simulated,
            "api_key_prefix": row.api_key_prefix,
            "last_seen_at": output.instant(row.last_seen_at),
        }
        for row in rows
    ]
    if wanted.json:
        output.result_json({"machines": shown})
    elif shown:
        output.table(shown, ("id", "device_id", "name", "status", "last_seen_at", "location_description"))
    else:
        output.note(say("machine.none"))
