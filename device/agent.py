"""The agent put together: who knows whom, what runs beside what, and how it ends.

Everything that decides or moves lives elsewhere; this is the wiring of one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from device import hardware
from device.agent_parts import AlreadyRunningError, held_alone, make_sampler, make_uploader, open_spool
from device.command_router import CommandRouter
from device.command_work import CommandWork
from device.commands.job import WorkHandler
from device.config_keeper import ConfigKeeper
from device.connection import Link, LinkClosed, open_link
from device.core.fallback_rules import FallbackRules
from device.core.hub_clock import HubClock
from device.core.machine_state import IllegalStatusError
from device.core.retry_policy import End, RetryPolicy
from device.link_duties import Ears, LinkDuties
from device.log import Log
from device.reconnect import Reconnector
from device.rfc3339 import utc_now
from device.service_notify import ServiceNotify
from device.settings import Settings, exposed
from device.spool import Spool
from device.state_keeper import StateKeeper
from device.status_checker import RVMStatusChecker
from device.status_mailbox import POLL_S, StatusMailbox
from device.task_group import until_one_ends
from device.worker_thread import WorkerThread
from protocol import messages as m
from protocol.version import PRODUCT_VERSION, PROTOCOL_VERSION

__all__ = ["Agent", "AlreadyRunningError", "run"]

FAREWELL_S: Final = 2.0
FLUSH_S: Final = 2.0


async def run(settings: Settings, log: Log, environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Be the agent until `stop` is set. Raises OSError when the state folder cannot be used, AlreadyRunningError when
    another agent uses it."""
    with held_alone(settings.state_dir):
        disk = WorkerThread("disk")
        spool = await disk.call(open_spool, settings)
        agent = Agent(settings, log, environ, disk, spool)
        try:
            await agent.start()
            await until_one_ends(agent.work(), agent.farewell_after(stop))
        finally:
            agent.notify.tell("STOPPING=1")
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(disk.call(spool.close), FLUSH_S)


class Agent:
    """The parts of one machine's agent. `status` is for the machine's own software in this process."""

    def __init__(
        self, settings: Settings, log: Log, environ: Mapping[str, str], disk: WorkerThread, spool: Spool
    ) -> None:
        self._settings = settings
        self._log = log
        self._spool = spool
        self._disk = disk
        self._root = Path(settings.text("sensor_root"))
        self._clock = HubClock()
        self._link: Link | None = None
        self._duties: LinkDuties | None = None
        self._mailbox = StatusMailbox(settings.state_dir)
        self._keeper = StateKeeper(settings.state_dir / "journal", disk, self._wake)
        self.status = RVMStatusChecker(self._keeper)
        self._work = CommandWork(self._keeper, spool.boot, log, self._reply, self._work_handlers())
        self._router = CommandRouter(self._keeper, self._clock, log, self._reply, self._work)
        self._rules = FallbackRules()
        policy = RetryPolicy(settings.number("retry_delay"), random.random)
        self._reconnector = Reconnector(self._attempt, policy, self._rules, log)
        self._sampler = make_sampler(settings, disk, spool, log, self._wake, self._offer_live)
        self._uploader = make_uploader(settings, disk, spool, log, self._rules, self._is_live, self._reconnector.ended)
        self._configuration = ConfigKeeper(settings, disk, log, self._apply, self._reply)
        self.notify = ServiceNotify(environ, lambda: self._sampler.beats)

    async def start(self) -> None:
        """Remember what was; say what is notable about it."""
        await self._keeper.open()
        await self._configuration.open()
        await self._work.settle_interrupted()
        settings = self._settings
        pending = await self._disk.call(self._spool.pending)
        self._log(
            "started", version=PRODUCT_VERSION, device_id=settings.device_id, url=settings.base_url, pending=pending
        )
        if settings.switch("allow_plain_http") and settings.base_url.startswith("http:"):
            self._log("plain_warning", url=settings.base_url)
        if settings.config_file is not None and exposed(settings.config_file):
            self._log("exposed_warning", file=settings.config_file)
        if self._spool.counters.damaged:
            self._log("damage", damaged=self._spool.counters.damaged)
        if self._keeper.was_damaged:
            self._log("journal_damage")
        gc.collect()
        gc.freeze()  # what exists now stays; the collector need not look at it again

    async def work(self) -> None:
        """Everything that runs side by side."""
        self.notify.tell("READY=1")
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("link", self._reconnector.run),
            ("commands", self._router.run),
            ("uploads", self._uploader.run),
            ("samples", self._sampler.run),
            ("configuration", self._configuration.run),
            ("requests", self._take_requests),
            ("watchdog", self.notify.run),
        ]
        await until_one_ends(*(self._for_ever(name, loop) for name, loop in loops))

    async def farewell_after(self, stop: asyncio.Event) -> None:
        """Wait for `stop`, then take leave of the hub, within a moment."""
        await stop.wait()
        self._log("stopping")
        self._reconnector.stopping = True
        link = self._link
        if link is not None:
            with contextlib.suppress(LinkClosed, TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(link.send(m.Bye(reason="shutdown")), FAREWELL_S / 2)
                await asyncio.wait_for(link.close(), FAREWELL_S / 2)

    async def _for_ever(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as error:  # noqa: BLE001 - the named boundary: a loop that must go on
                self._log("handler_failed", where=name, error=repr(error))
            await asyncio.sleep(1.0)

    async def _attempt(self) -> End:
        """One link, from opening to its end."""
        settings = self._settings
        link, welcome = await open_link(
            settings.socket_url, settings.api_token, settings.number("connection_timeout"), self._hello
        )
        self._log("live")
        self._clock.told(welcome.time, time.monotonic())
        self._rules.went_live()
        self._uploader.went_live.set()
        ears = Ears(self._router.offer, self._sampler.watch, self._hub_objects, self._configured)
        duties = LinkDuties(link, self._spool, self._disk, self._keeper, ears)
        self._link, self._duties = link, duties
        try:
            self._sampler.watch(welcome.live_interval)
            self._configured(welcome.config)
            return await duties.serve()
        finally:
            self._link = self._duties = None
            self._sampler.watch(0.0)
            link.abort()

    def _hello(self) -> m.Hello:
        state = self._keeper.state
        return m.Hello(
            protocol=PROTOCOL_VERSION,
            device_id=self._settings.device_id,
            agent_version=PRODUCT_VERSION,
            boot_id=self._spool.boot,
            capabilities=self._router.capabilities,
            status=state.status,
            capacity=state.capacity,
            special_status=state.special_status,
            config_version=self._configuration.version,
            time=utc_now(),
            timezone=hardware.timezone_name(self._root),
            hardware=hardware.describe(self._root),
        )

    async def _take_requests(self) -> None:
        """Declare what other programs on this machine have left in the mailbox."""
        while True:
            for path, request in await self._disk.call(lambda: list(self._mailbox.waiting())):
                with contextlib.suppress(IllegalStatusError):
                    state = await self.status.update_status(**msgspec.structs.asdict(request))
                    self._log("status_now", status=state.effective_status)
                await self._disk.call(self._mailbox.done, path)
            await asyncio.sleep(POLL_S)

    def _work_handlers(self) -> dict[str, WorkHandler]:
        """The commands that take their time; those done in one step are the router's own."""
        return {}

    def _is_live(self) -> bool:
        return self._duties is not None

    def _wake(self) -> None:
        if self._duties is not None:
            self._duties.wake()

    def _reply(self, message: m.MachineMessage) -> None:
        if self._duties is not None:
            self._duties.reply(message)

    def _configured(self, told: m.Config | m.Configuration) -> None:
        self._configuration.offer(told.version, told.values)

    def _apply(self, settings: Settings) -> None:
        """What the hub may change is changed while everything runs; the spool is not touched."""
        self._sampler.set_monitoring(settings.switch("monitoring_enabled"), settings.number("metrics_interval"))
        self._uploader.set_interval(settings.number("upload_interval"))

    def _offer_live(self, sample: m.Sample) -> None:
        if self._duties is not None:
            self._duties.offer_live(sample)

    def _hub_objects(self, error: m.Error) -> None:
        self._log("hub_error", code=error.code, message=error.message)
