"""The settings the demo writes before it begins: the real machine is left alone, two simulated ones have a story.

Written once: whoever changes or clears them later is not overruled by the next start.
"""

from __future__ import annotations

from typing import Any

from demo.machines import DemoFleet, DemoMachine
from hub.cli.data_door import DataDoor, now
from hub.kernel.loading import load_fleet
from hub.machine_settings import rules
from hub.model import actors
from hub.model.effective_settings import UNWRITTEN
from protocol import configuration


async def write_settings(door: DataDoor, demo: DemoFleet) -> None:
    """For machines that never had any of their own."""
    fleet = await load_fleet(door.store, configuration.defaults())
    machines = {machine.device_id: machine for machine in fleet.machines.values()}
    for member in demo.machines:
        machine, values = machines.get(member.device_id), wanted(member)
        if machine is None or not values or machine.desired_settings is not UNWRITTEN:
            continue
        request = rules.SettingsRequest(values)
        changes = rules.write_machine(
            fleet.settings, machine.id, machine.desired_settings, request, actors.SYSTEM, now()
        )
        for change in await door.record(*changes):
            fleet.apply(change)


def wanted(member: DemoMachine) -> dict[str, Any]:
    """What this machine has of its own."""
    if not member.role:
        # This computer: no look-up of its address at a stranger's service, for a demo.
        return {"auto_sync_enabled": False}
    if member.role == "guessing":
        return {"pinned_timezone": member.timezone}
    if member.role == "misconfigured":
        return {"metrics_interval": 60}
    return {}
