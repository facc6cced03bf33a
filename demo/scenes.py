"""Plays the demo's first minute: settings with a story, a command for an absent machine, others under way.

Each goes as a request does, as `system`. Settings are written once: a person's change survives the next start. A
scene without its machine, or forestalled by somebody, is left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import anyio

from db.errors import StoreError
from demo.machines import DemoFleet, DemoMachine
from hub.cli.data import OpenData, now
from hub.cli.output import sentence
from hub.commands import rules as command_rules
from hub.kernel.context import HubContext
from hub.kernel.loading import load_fleet
from hub.machine_settings import rules
from hub.model import actors
from hub.model.changes import Change
from hub.model.effective_settings import UNWRITTEN
from hub.model.machine import Machine
from protocol import configuration

logger = logging.getLogger("myrvm.demo")

SCENE_LIMIT_S: Final = 120.0
"""Later a machine will not be as its scene needs it."""


class DemoScene(NamedTuple):
    role: str
    name: str
    args: dict[str, Any]
    ready: Callable[[Machine], bool]


def scenes() -> tuple[DemoScene, ...]:
    glass = {"status": "maintenance", "reason": sentence("demo.glass")}
    return (
        DemoScene(
            "offline", "set_status", glass, lambda machine: machine.close_reason is not None and not machine.linked
        ),
        DemoScene("busy", "reboot", {}, lambda machine: machine.linked and machine.busy),
        DemoScene("slow", "sync_timezone", {"trigger": "manual"}, lambda machine: machine.linked),
    )


class Scenes:
    def __init__(self, fleet: DemoFleet) -> None:
        self._roles = {machine.role: machine.device_id for machine in fleet.machines if machine.role}
        self._news = anyio.Event()

    async def play(self, hub: HubContext) -> None:
        """What a scene meets does not end the hub."""
        hub.announce.listen(self._wake)
        machines = {machine.row.device_id: machine for machine in hub.fleet.machines.values()}
        async with anyio.create_task_group() as stage:
            for scene in scenes():
                machine = machines.get(self._roles.get(scene.role, ""))
                if machine is not None:
                    stage.start_soon(self._play, hub, scene, machine)

    def _wake(self, _: Sequence[Change]) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _play(self, hub: HubContext, scene: DemoScene, machine: Machine) -> None:
        with anyio.move_on_after(SCENE_LIMIT_S):
            while not scene.ready(machine):
                await self._news.wait()
            if any(command.name == scene.name for command in machine.pending.values()):
                return  # an earlier start's, still waiting
            try:
                await hub.announce(*command_rules.draft(machine, scene.name, scene.args, actors.SYSTEM, hub.clock()))
            except (command_rules.Refused, StoreError) as error:
                logger.info("scene %s left out: %s", scene.role, error)
                return


async def write_settings(opened: OpenData, demo: DemoFleet) -> None:
    fleet = await load_fleet(opened.store, configuration.defaults())
    machines = {machine.row.device_id: machine for machine in fleet.machines.values()}
    for member in demo.machines:
        machine, values = machines.get(member.device_id), wanted(member)
        if machine is None or not values or machine.desired_settings is not UNWRITTEN:
            continue
        request = rules.SettingsRequest(values)
        changes = rules.write_machine(
            fleet.settings, machine.id, machine.desired_settings, request, actors.SYSTEM, now()
        )
        for change in await opened.commit(*changes):
            fleet.apply(change)


def wanted(member: DemoMachine) -> dict[str, Any]:
    if not member.role:
        # This computer: no look-up of its address at a stranger's service, for a demo.
        return {"auto_sync_enabled": False}
    if member.role == "guessing":
        return {"pinned_timezone": member.timezone}
    if member.role == "misconfigured":
        return {"metrics_interval": 60}
    return {}
