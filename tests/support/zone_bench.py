"""A TimezoneSyncClient in a room of its own: settings, hub clock, kernel's word and system bus as the test asks."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.link.rules import HubClock
from device.settings import load
from device.system.bus import SystemBus
from device.system.systemd import SystemTimezone
from device.texts import texts_in
from device.timezone.facts import ZoneFacts
from device.timezone.sync import TimezoneSyncClient
from protocol.messages import TimezoneReport
from tests.support.fake_hub import KEY
from tests.support.system_bus import PrivateBus
from tests.support.zone_server import ZoneServer


class ZoneBench:
    """A client in a room of its own; `ntp` is what the kernel says."""

    def __init__(self, folder: Path, bus: PrivateBus, server: ZoneServer, boot: str = "boot-1", **values: Any) -> None:
        settings = load(None, {"RVM_API_TOKEN": KEY, "RVM_MYRVM_BASE_URL": "https://hub.test"})
        values = {"state_dir": str(folder), "timezone_api_url": server.url("honest"), **values}
        self.settings = settings.overlaid(values, {})
        self.said: list[TimezoneReport] = []
        self.steps: list[str] = []
        self.ntp: bool | None = True
        self.out = io.StringIO()
        self.hub_clock = HubClock()
        self.disk = WorkerThread("disk")
        system = SystemTimezone(SystemBus(allowed=self.settings.switch("system_control")), bus.root)
        facts = ZoneFacts(boot, system, self.hub_clock, lambda: self.ntp)
        log = Log(texts_in("en"), KEY, {}, self.out)
        self.client = TimezoneSyncClient(self.settings, facts, self.disk, log, self.said.append)

    def configure(self, **values: Any) -> None:
        self.settings = self.settings.overlaid(values, {})
        self.client.configure(self.settings)

    async def step(self, phase: str) -> None:
        self.steps.append(phase)

    async def sync(self, wanted: str | None = None) -> TimezoneReport:
        self.steps.clear()
        return await self.client.sync_timezone("manual", wanted, self.step)


@contextlib.asynccontextmanager
async def running(bench: ZoneBench) -> AsyncIterator[ZoneBench]:
    await bench.client.open()
    task = asyncio.ensure_future(bench.client.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
