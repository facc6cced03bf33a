"""Starts and stops the control page, and collects what it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.journal.keeper import StateKeeper
from device.kernel.log import Log
from device.kernel.tasks import within
from device.kernel.worker_thread import WorkerThread
from device.remote.access import RunningSession
from device.settings import AgentSettings
from device.system import hardware, systemd
from device.system.bus import NotPermittedError, SystemBus, SystemBusError
from protocol.messages import Sample
from protocol.version import PRODUCT_VERSION

if TYPE_CHECKING:
    from device.control_page.page import Snapshot
    from device.control_page.server import ControlPage

LOOK_S: Final = 2.0


@dataclass(frozen=True)
class Sources:
    settings: Callable[[], AgentSettings]
    keeper: StateKeeper
    bus: SystemBus
    disk: WorkerThread
    boot: str
    is_linked: Callable[[], bool]
    sample: Callable[[], Sample | None]
    running: Callable[[], Iterable[RunningSession]]


class ControlPageService:
    """`start` and `stop` for each session; `open` once."""

    def __init__(self, sources: Sources, log: Log) -> None:
        self._sources = sources
        self._log = log
        self._page: ControlPage | None = None

    async def open(self) -> None:
        from protocol.addresses import is_loopback

        if not is_loopback(self._sources.settings().text("remote_access_bind")):
            await self.start()

    async def start(self) -> None:
        """Unless a service on demand has the port."""
        settings = self._sources.settings()
        if self._page is None:
            port = int(settings.number("remote_access_port"))
            if str(port) in _on_demand(settings):
                return
            self._page = self._made(settings, port)
        await self._page.start()

    async def stop(self) -> None:
        if self._page is not None:
            await self._page.stop()

    def _made(self, settings: AgentSettings, port: int) -> ControlPage:
        from device.control_page.server import ControlPage, PageRules

        rules = PageRules(
            settings.text("remote_access_bind"), port, self._networks, settings.state_dir, self._sources.boot
        )
        return ControlPage(rules, self.snapshot, self._log)

    def _networks(self) -> Sequence[str]:
        """None while remote access is off."""
        settings = self._sources.settings()
        return settings.names("admin_ips") if settings.switch("remote_access_enabled") else []

    async def snapshot(self) -> Snapshot:
        from device.control_page.page import ShownSession, Snapshot

        sources, settings = self._sources, self._sources.settings()
        now = time.monotonic()
        sessions = [(running.session, running.deadline - now) for running in sources.running()]
        state = sources.keeper.state
        return Snapshot(
            device_id=settings.device_id,
            version=PRODUCT_VERSION,
            hub=settings.base_url,
            is_linked=sources.is_linked(),
            hardware=await sources.disk.call(hardware.describe, Path(settings.text("sensor_root"))),
            status=state.effective_status,
            capacity=state.capacity,
            sample=sources.sample(),
            visits=[ShownSession(one.id, one.admin, one.admin_ip, one.reason, left) for one, left in sessions],
            services=[*await self._units(settings), *await self._ports(settings)],
            log=list(self._log.recent),
        )

    async def _units(self, settings: AgentSettings) -> list[tuple[str, str]]:
        names = settings.names("services")
        if not names:
            return []
        try:
            states = await systemd.states(self._sources.bus, names, LOOK_S)
        except (NotPermittedError, SystemBusError):
            states = {}
        return [(name, states.get(name, "unknown")) for name in names]

    async def _ports(self, settings: AgentSettings) -> list[tuple[str, str]]:
        own = int(settings.number("remote_access_port"))
        ports = [port for port in map(int, settings.names("remote_access_ports")) if port != own]
        answers = await asyncio.gather(*map(_answers, ports))
        silent = ["on_demand" if str(port) in _on_demand(settings) else "silent" for port in ports]
        return [
            (str(port), "answers" if answers_now else otherwise)
            for port, answers_now, otherwise in zip(ports, answers, silent, strict=True)
        ]


def _on_demand(settings: AgentSettings) -> dict[str, object]:
    services_by_port = settings.values["remote_services"]
    return dict(services_by_port) if isinstance(services_by_port, dict) else {}


async def _answers(port: int) -> bool:
    from device.remote.session.ports import NotRunningError, connect

    try:
        _, writer = await within(LOOK_S, connect(port))
    except (OSError, TimeoutError, asyncio.TimeoutError, NotRunningError):
        return False
    writer.transport.abort()
    return True
