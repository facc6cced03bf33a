"""Plays the demo's first minutes: settings with a story, a command for an absent machine, others under way.

Each goes as a request does, as `system`. What people would have written is in the first administrator's language, so
scenes begin with that sign-in. Settings are written once: a person's change survives the next start. A scene without
its machine, or forestalled by somebody, is left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import anyio

from db.errors import StoreError
from db.queries import users
from db.records import UserRow
from demo.machines import DemoFleet, DemoMachine
from hub.cli.data import OpenData, now
from hub.cli.output import FOLDER, language
from hub.commands import rules as command_rules
from hub.kernel.context import HubContext
from hub.kernel.loading import load_fleet
from hub.machine_settings import rules
from hub.machines import rules as machine_rules
from hub.model import actors
from hub.model.changes import Change
from hub.model.effective_settings import UNWRITTEN
from hub.model.machine import Machine
from protocol import configuration
from texts.catalogue import read
from texts.languages import LANGUAGES

logger = logging.getLogger("myrvm.demo")

SIGN_IN_LIMIT_S: Final = 100.0
"""Then nobody comes, and the process's own language does."""
SCENE_LIMIT_S: Final = 120.0
"""Later a machine will not be as its scene needs it."""


class DemoScene(NamedTuple):
    """`why`: the sentence that a person would have given as the reason."""

    role: str
    name: str
    args: dict[str, Any]
    why: str
    ready: Callable[[Machine], bool]


SCENES: Final = (
    DemoScene(
        "offline", "set_status", {"status": "maintenance"}, "demo.glass",
        lambda machine: machine.close_reason is not None and not machine.linked,
    ),
    DemoScene("maintenance", "set_status", {"status": "maintenance"}, "demo.belt", lambda machine: machine.linked),
    DemoScene("busy", "reboot", {}, "demo.camera", lambda machine: machine.linked and machine.busy),
    DemoScene("slow", "sync_timezone", {"trigger": "manual"}, "demo.receipts", lambda machine: machine.linked),
)  # fmt: skip


class Scenes:
    def __init__(self, fleet: DemoFleet) -> None:
        self._roles = {machine.role: machine.device_id for machine in fleet.machines}
        self._news = anyio.Event()
        self._people = anyio.Event()

    async def play(self, hub: HubContext) -> None:
        """What a scene meets does not end the hub."""
        hub.announce.listen(self._wake)
        hub.announce.listen(self._meet, UserRow)
        spoken = await self._language(hub)
        machines = {machine.row.device_id: machine for machine in hub.fleet.machines.values()}
        async with anyio.create_task_group() as stage:
            for scene in SCENES:
                machine = machines.get(self._roles.get(scene.role, ""))
                if machine is not None:
                    stage.start_soon(self._play, hub, scene, machine, read(FOLDER, spoken)(scene.why))
            real = machines.get(self._roles.get("", ""))
            if real is not None:
                stage.start_soon(_name_place, hub, real, spoken)

    def _wake(self, _: Sequence[Change]) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _meet(self, _: Sequence[Change]) -> None:
        self._people.set()
        self._people = anyio.Event()

    async def _language(self, hub: HubContext) -> str:
        with anyio.move_on_after(SIGN_IN_LIMIT_S):
            while True:
                changed = self._people
                people = [user for user in await users.all_users(hub.store) if user.role == "admin"]
                spoken = next((user.language for user in people if user.language in LANGUAGES), None)
                if spoken is not None:
                    return spoken
                await changed.wait()
        return language()

    async def _play(self, hub: HubContext, scene: DemoScene, machine: Machine, why: str) -> None:
        with anyio.move_on_after(SCENE_LIMIT_S):
            while not scene.ready(machine):
                await self._news.wait()
            if any(command.name == scene.name for command in machine.pending.values()):
                return  # an earlier start's, still waiting
            if scene.name == "set_status" and machine.row.status_reason == why:
                return  # an earlier start's, done
            drafted = (machine, scene.name, scene.args, actors.SYSTEM, hub.clock())
            try:
                await hub.announce(*command_rules.draft(*drafted, reason=why))
            except (command_rules.Refused, StoreError) as error:
                logger.info("scene %s left out: %s", scene.role, error)


async def _name_place(hub: HubContext, real: Machine, spoken: str) -> None:
    """A place that a person named stays."""
    ours = {lang: read(FOLDER, lang)("demo.this_computer") for lang in LANGUAGES}
    if real.row.location_description in ours.values() and real.row.location_description != ours[spoken]:
        values = {"location_description": ours[spoken]}
        try:
            await hub.announce(*machine_rules.edited(real.id, values, hub.clock()))
        except StoreError as error:
            logger.info("the place of %s keeps its words: %s", real.name, error)


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
