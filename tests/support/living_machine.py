"""A whole machine for tests that kill: the real agent under a caretaker that starts it again, as systemd does, on a
private system bus that counts what was really done, with a boot that a reboot ends.

    async with living_machine(folder, hub, key) as machine: ...

`machine.executions(command)` is read from outside both processes: what logind and systemd were asked, and for a status
the facts of the journal's file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from device.journal.keeper import Journal
from tests.device.agent_process import AgentProcess
from tests.support.crash_points import Plan
from tests.support.fork_server import fork
from tests.support.hub_people import MachineKey
from tests.support.system_bus import PrivateBus, private_bus
from tests.support.until import PATIENCE_S

SERVICE: Final = "camera.service"
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "set_status": {"status": "maintenance"},
    "restart_service": {"service": SERVICE},
    "reboot": {},
    "ping": {},
}
EFFECTS: Final[dict[str, list[object]]] = {
    "restart_service": ["RestartUnit", SERVICE, "replace"],
    "reboot": ["Reboot", False],
}
LOOK_S: Final = 0.02
START_AGAIN_S: Final = 0.1


class LivingMachine(AgentProcess):
    """`plan` is where its agent may crash. While `comes_back` is true it is started again whenever it is gone."""

    def __init__(self, folder: Path, url: str, key: MachineKey, bus: PrivateBus) -> None:
        folder.mkdir(exist_ok=True)
        self.bus, self.key = bus, key
        super().__init__(
            folder, url, api_token=key.api_key, rvm_id=key.device_id, system_control=True, services=[SERVICE],
            sensor_root=str(bus.root), connection_timeout=3,
        )  # fmt: skip
        self.environ = {**bus.environ, "AUTO_SYNC_ENABLED": "false"}
        self.plan = Plan(folder)
        self.comes_back = True
        self._reboots = 0
        self._boot()

    @property
    def session_file(self) -> Path:
        """There while somebody puts bottles in."""
        return self.folder / "machine.json.state" / "return-session"

    def executions(self, name: str, command_id: str) -> int:
        """How often the effect happened: of this command for a status, of any command for the others."""
        if name in EFFECTS:
            return self.bus.calls.count(EFFECTS[name])
        facts = Journal(self.folder / "machine.json.state" / "journal").load()
        return sum(fact.answered is not None and fact.answered.id == command_id for fact in facts)

    async def start(self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        assert stdin == asyncio.subprocess.DEVNULL
        self.lives += 1
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RVM_")} | {"LANG": "C", **self.environ}
        given = {"arguments": ["--config", str(self.config), *arguments], "environ": environ}
        self.process = await fork("agent", self.folder / "log", given)

    async def live(self) -> None:
        """Until cancelled: a reboot that was asked for ends this boot; an agent that is gone is started again."""
        while True:
            await asyncio.sleep(LOOK_S)
            asked = self.bus.calls.count(EFFECTS["reboot"])
            if asked > self._reboots:
                self._reboots = asked
                await self._go_down()
                self._boot()
            if self.process is not None and self.process.returncode is not None and self.comes_back:
                await asyncio.sleep(START_AGAIN_S)
                # It may have asked for a reboot with its last breath: then this boot is over.
                if self.bus.calls.count(EFFECTS["reboot"]) == self._reboots:
                    await self.start()

    async def _go_down(self) -> None:
        """At once, but for an agent that is about to crash in the moment after it asked."""
        if self.plan.point == "effect done" and self.process is not None:
            await asyncio.wait_for(self.process.wait(), PATIENCE_S)
        await self.kill()

    def _boot(self) -> None:
        place = self.bus.root / "proc" / "sys" / "kernel" / "random"
        place.mkdir(parents=True, exist_ok=True)
        (place / "boot_id").write_text(str(uuid.uuid4()))


@contextlib.asynccontextmanager
async def living_machine(folder: Path, url: str, key: MachineKey) -> AsyncIterator[LivingMachine]:
    """Started, and looked after until the end."""
    async with private_bus(folder / "bus") as bus:
        machine = LivingMachine(folder, url, key, bus)
        await machine.start()
        caring = asyncio.ensure_future(machine.live())
        try:
            yield machine
        finally:
            caring.cancel()
            (failed,) = await asyncio.gather(caring, return_exceptions=True)
            await machine.kill()
            if isinstance(failed, Exception):
                raise failed
