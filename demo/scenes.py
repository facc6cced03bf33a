"""What happens in the demo's first minute: a command waits for a machine that is away, others are under way.

Each goes the way a request goes (command desk, announce, links), by the hand of `system`; nothing is pretended. A scene
that cannot be played, because its machine is not there or somebody was quicker, is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import anyio

from db.errors import StoreError
from demo.machines import DemoFleet
from hub.cli.output import sentence
from hub.commands import rules as command_rules
from hub.kernel.context import HubContext
from hub.model import actors
from hub.model.changes import Change
from hub.model.machine import Machine

logger = logging.getLogger("myrvm.demo")

PATIENCE_S: Final = 120.0
"""A machine that is not as its scene wants it after this long will not be."""


class Scene(NamedTuple):
    """A command for the machine of that role, as soon as it is `ready`."""

    role: str
    name: str
    args: dict[str, Any]
    ready: Callable[[Machine], bool]


def scenes() -> tuple[Scene, ...]:
    glass = {"status": "maintenance", "reason": sentence("demo.glass")}
    return (
        Scene("offline", "set_status", glass, lambda machine: machine.farewell is not None and not machine.linked),
        Scene("busy", "reboot", {}, lambda machine: machine.linked and machine.busy),
        Scene("slow", "sync_timezone", {"trigger": "manual"}, lambda machine: machine.linked),
    )


class Scenes:
    """Given to the hub as its companion."""

    def __init__(self, fleet: DemoFleet) -> None:
        self._roles = {machine.role: machine.device_id for machine in fleet.machines if machine.role}
        self._news = anyio.Event()

    async def play(self, hub: HubContext) -> None:
        """Until every scene was played or left out. What a scene meets does not end the hub."""
        hub.announce.listen(self._tell)
        machines = {machine.device_id: machine for machine in hub.fleet.machines.values()}
        async with anyio.create_task_group() as stage:
            for scene in scenes():
                machine = machines.get(self._roles.get(scene.role, ""))
                if machine is not None:
                    stage.start_soon(self._play, hub, scene, machine)

    def _tell(self, _: Sequence[Change]) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _play(self, hub: HubContext, scene: Scene, machine: Machine) -> None:
        with anyio.move_on_after(PATIENCE_S):
            while not scene.ready(machine):
                await self._news.wait()
            if any(command.name == scene.name for command in machine.pending.values()):
                return  # an earlier start's, still waiting
            try:
                await hub.announce(*command_rules.draft(machine, scene.name, scene.args, actors.SYSTEM, hub.clock()))
            except (command_rules.Refused, StoreError) as error:
                logger.info("scene %s left out: %s", scene.role, error)
                return
