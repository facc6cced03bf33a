"""Wires one agent process: its parts, its loops, its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from device.agent_parts import (
    AlreadyRunningError,
    end_leftovers,
    held_alone,
    hub_tls_facts,
    look_at_paths,
    look_at_rights,
    make_remote_access,
    make_sampler,
    make_uploader,
    open_spool,
    remote_facts,
)
from device.backups.restore import Restores
from device.backups.service import BackupClient
from device.commands.jobs import Reboots, ServiceRestarts, WorkHandler, sync_timezone_handler
from device.commands.router import CommandRouter
from device.commands.steps import remote_access_steps
from device.commands.work import CommandWork
from device.control_page.service import ControlPageService, Sources
from device.enrolment.key_renewal import KeyRenewal
from device.journal.keeper import StateKeeper
from device.kernel import tls
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, within
from device.kernel.worker_thread import WorkerThread
from device.link.authority import AuthorityAdoption
from device.link.connection import HubLink, LinkClosedError, open_link
from device.link.duties import LinkDuties, LinkHandlers
from device.link.reconnect import Reconnector
from device.link.rules import KEY_REFUSED, End, FallbackRules, HubClock, Kind, RetryPolicy
from device.remote.folders import DeclaredFolders
from device.samples.spool import SampleSpool
from device.settings import AgentSettings, exposed
from device.settings.keeper import SettingsKeeper
from device.status import return_session
from device.status.service import RVMStatusChecker, StatusWatch
from device.status_mailbox import StatusMailbox
from device.system import clock, hardware, systemd
from device.system.clock import utc_now
from device.system.privileged import PrivilegedBus
from device.system.systemd import ServiceNotify, SystemTimezone
from device.system_monitor.board_watch import BoardWatch
from device.timezone.facts import ZoneFacts
from device.timezone.sync import TimezoneSyncClient
from protocol import messages as m
from protocol.version import PRODUCT_VERSION, PROTOCOL_VERSION

__all__ = ["Agent", "AlreadyRunningError", "run"]

GOODBYE_S: Final = 2.0
FLUSH_S: Final = 2.0


async def run(settings: AgentSettings, log: Log, environ: Mapping[str, str], stop: asyncio.Event) -> None:
    """Raises OSError for an unusable state folder, AlreadyRunningError for one in use."""
    with held_alone(settings.state_dir):
        disk = WorkerThread("disk")
        spool = await disk.call(open_spool, settings)
        agent = Agent(settings, log, environ, disk, spool)
        try:
            await agent.start()
            await until_one_ends(agent.work(), agent.goodbye_after(stop))
        finally:
            agent.notify.notify("STOPPING=1")
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await within(FLUSH_S, disk.call(spool.close))


class Agent:
    """`status`, `timezone`, `remote_access` and `backups` are for the machine's own software in this process."""

    def __init__(
        self, settings: AgentSettings, log: Log, environ: Mapping[str, str], disk: WorkerThread, spool: SampleSpool
    ) -> None:
        self._settings = settings
        self._log = log
        self._spool = spool
        self._disk = disk
        self._root = Path(settings.text("sensor_root"))
        self._clock = HubClock()
        self._link: HubLink | None = None
        self._duties: LinkDuties | None = None
        self._is_new_link = False
        self._rights: dict[str, str] = {}  # Bound: two facts
        journal, floor_seq = settings.state_dir / "journal", hardware.boot_milliseconds(self._root)
        self._keeper = StateKeeper(journal, disk, self._wake, floor_seq)
        self._session = return_session.of_settings(settings)
        self.status = RVMStatusChecker(self._keeper, self._session)
        mailbox = StatusMailbox(settings.state_dir)
        self._status_watch = StatusWatch(self.status, mailbox, self._session, self._clock, disk, log)
        self._bus = PrivilegedBus(settings.text("privileged_socket"), allowed=settings.switch("system_control"))
        facts = ZoneFacts(spool.boot, SystemTimezone(self._bus, self._root), self._clock)
        self.timezone = TimezoneSyncClient(settings, facts, disk, log, self._reply)
        self.backups = BackupClient(
            self._effective_settings, disk, log, lambda: disk.call(self._session.is_open), self._behind_s
        )
        self._restores = Restores(
            self._effective_settings, disk, self._bus, log, lambda: disk.call(self._session.is_open),
            self.backups.staged, self.backups.turn,
        )  # fmt: skip
        self._key_renewal = KeyRenewal(
            settings, disk, log, self.backups.turn, self._reply, self._use_key, self._reconnect
        )
        self._work = CommandWork(self._keeper, spool.boot, log, self._reply, self._work_handlers())
        self._page = ControlPageService(self._page_sources(), log)
        self._folders = DeclaredFolders(
            settings.names("remote_download_folders"), settings.names("remote_upload_folders")
        )
        self.remote_access = make_remote_access(
            settings, self._keeper, spool.boot, log, self._effective_settings, self._page, self._folders
        )
        self._router = CommandRouter(
            self._keeper, self._clock, log, self._reply, self._work, steps=remote_access_steps(self.remote_access)
        )
        self._rules = FallbackRules()
        policy = RetryPolicy(settings.number("retry_delay"), random.random)
        self._reconnector = Reconnector(self._attempt, policy, self._rules, log)
        self._sampler = make_sampler(settings, disk, spool, log, self._wake, self._offer_live)
        self._board = BoardWatch(self._root, self._reply, lambda: self._sampler.is_watched, WorkerThread("board"))
        self._board.set_enabled(settings.switch("monitoring_enabled"))
        self._uploader = make_uploader(settings, disk, spool, log, self._rules, self._is_live, self._reconnector.ended)
        self._configuration = SettingsKeeper(settings, disk, log, self._apply, self._configuration_taken)
        self._authority = AuthorityAdoption(settings, log, self._reply)
        self.notify = ServiceNotify(environ, lambda: self._sampler.beats)

    async def start(self) -> None:
        """Read the state on disk, end what an earlier life left."""
        await self._keeper.open()
        await self.timezone.open()
        await self._configuration.open()
        await self._restores.recover()
        await self.backups.open()
        await self._key_renewal.open()
        await self._work.settle_interrupted()
        await self.remote_access.open()
        await look_at_paths(self._settings, self._folders, self._disk, self._log)
        self._rights = await look_at_rights(self._settings, self._bus, self._disk, self._log)
        await end_leftovers(self._settings, self._disk, self._log)
        await self._page.open()
        await self._status_watch.look()
        settings = self._settings
        pending = await self._disk.call(self._spool.pending)
        self._log(
            "started", version=PRODUCT_VERSION, device_id=settings.device_id, url=settings.base_url, count=pending
        )
        if settings.is_plain:
            self._log("plain_warning", url=settings.base_url)
        if tls.clock_is_impossible():
            self._log("clock_impossible", now=utc_now())
        if (file := exposed(settings)) is not None:
            self._log("exposed_warning", file=file)
        if self._spool.counters.damaged:
            self._log("damage", count=self._spool.counters.damaged)
        if self._keeper.was_damaged:
            self._log("journal_damage")
        gc.collect()
        gc.freeze()  # what exists now stays; the collector need not look at it again

    async def work(self) -> None:
        self.notify.notify("READY=1")
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("link", self._reconnector.run),
            ("commands", self._router.run),
            ("uploads", self._uploader.run),
            ("samples", self._sampler.run),
            ("board", self._board.run),
            ("configuration", self._configuration.run),
            ("timezone", self.timezone.run),
            ("status", self._status_watch.run),
            ("remote access", self.remote_access.run),
            ("authority", self._authority.run),
            ("restores", self._restores.run),
            ("key renewal", self._key_renewal.run),
            ("watchdog", self.notify.run),
        ]
        await until_one_ends(*(self._for_ever(name, loop) for name, loop in loops))

    async def goodbye_after(self, stop: asyncio.Event) -> None:
        """After `stop`, send `bye` and close the link, within a moment."""
        await stop.wait()
        self._log("stopping")
        self._reconnector.stopping = True
        link = self._link
        if link is not None:
            with contextlib.suppress(LinkClosedError, TimeoutError, asyncio.TimeoutError):
                reason: Literal["reboot", "shutdown"] = "reboot" if self._work.goes_down else "shutdown"
                await within(GOODBYE_S / 2, link.send(m.Bye(reason=reason)))
                await within(GOODBYE_S / 2, link.close())

    async def _for_ever(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as error:  # noqa: BLE001 - the named boundary: a loop that must go on
                self._log("handler_failed", where=name, error=repr(error))
            await asyncio.sleep(1.0)

    async def _attempt(self) -> End:
        """One link, from opening to end."""
        try:
            end = await self._serve_link(self._settings)
        except LinkClosedError as closed:
            end = closed.end
        if end.code in KEY_REFUSED and self._key_renewal.refused():
            return End(Kind.RENEWED, end.detail, live_s=end.live_s)
        return end

    async def _serve_link(self, settings: AgentSettings) -> End:
        link, welcome = await open_link(
            settings.socket_url, settings.api_token, settings.number("connection_timeout"), self._hello,
            tls_context=settings.hub_trust.context,
        )  # fmt: skip
        self._log("live")
        self._clock.synchronise(welcome.time, time.monotonic())
        self._rules.went_live()
        self.remote_access.link_is_up()
        self._uploader.went_live.set()
        handlers = LinkHandlers(
            self._router.offer, self._sampler.watch, self._error_received, self._config_received,
            lambda message: self._authority.offer(message.certificates), self._key_renewal.answered,
        )  # fmt: skip
        duties = LinkDuties(link, self._spool, self._disk, self._keeper, handlers)
        self._link, self._duties, self._is_new_link = link, duties, True
        self._board.link_is_up()
        try:
            self._sampler.watch(welcome.live_interval)
            self._config_received(welcome.config)
            self._authority.offer(welcome.authority)
            self._key_renewal.linked(settings.api_token)
            return await duties.serve()
        finally:
            self._link = self._duties = None
            self.remote_access.link_is_lost()
            self._board.link_is_lost()
            self._sampler.watch(0.0)
            link.abort()

    def _hello(self) -> m.Hello:
        state = self._keeper.state
        return m.Hello(
            protocol=PROTOCOL_VERSION,
            device_id=self._settings.device_id,
            agent_version=PRODUCT_VERSION,
            boot_id=self._spool.boot,
            capabilities=[*self._router.capabilities, "until"],
            status=state.status,
            capacity=state.capacity,
            special_status=state.special_status,
            busy=state.busy,
            config_version=self._configuration.version,
            time=utc_now(),
            timezone=hardware.timezone_name(self._root),
            ntp=clock.is_synchronised(),
            hardware=hardware.fitted(
                {
                    **hardware.describe(self._root, self._settings.names("services")),
                    **self._rights,
                    "remote": remote_facts(self._configuration.settings),
                    "hub_tls": hub_tls_facts(self._settings),
                }
            ),
            remote_session=sorted(self.remote_access.open_sessions),
        )

    def _work_handlers(self) -> dict[str, WorkHandler]:
        own = systemd.own_unit(self._root)
        restarts = ServiceRestarts(self._bus, self._settings.names("services"), own)
        reboots = Reboots(self._bus, lambda: self._disk.call(self._session.is_open), self._log)
        return {
            "restart_service": WorkHandler(restarts.run, begins_itself=True),
            "reboot": WorkHandler(reboots.run, begins_itself=True),
            "sync_timezone": sync_timezone_handler(self.timezone),
            **self.backups.handlers(),
            "restore_backup": self._restores.handler(),
            "renew_key": self._key_renewal.handler(),
        }

    def _effective_settings(self) -> AgentSettings:
        return self._configuration.settings

    def _page_sources(self) -> Sources:
        return Sources(
            settings=self._effective_settings,
            keeper=self._keeper,
            bus=self._bus,
            disk=self._disk,
            boot=self._spool.boot,
            is_linked=self._is_live,
            sample=lambda: self._sampler.latest,
            running=lambda: self.remote_access.running,
        )

    def _is_live(self) -> bool:
        return self._duties is not None

    def _behind_s(self) -> float:
        """How late the control link is; 0 without one."""
        return 0.0 if self._duties is None else self._duties.behind_s()

    def _wake(self) -> None:
        if self._duties is not None:
            self._duties.wake()

    def _reply(self, message: m.MachineMessage) -> None:
        if self._duties is not None:
            self._duties.reply(message)

    def _config_received(self, config: m.Config | m.Configuration) -> None:
        self._configuration.offer(config.version, config.values)

    def _apply(self, settings: AgentSettings) -> None:
        """While everything runs; the spool is not touched."""
        self._sampler.set_monitoring(settings.switch("monitoring_enabled"), settings.number("metrics_interval"))
        self._board.set_enabled(settings.switch("monitoring_enabled"))
        self._uploader.set_interval(settings.number("upload_interval"))
        self.timezone.configure(settings)
        self.remote_access.configure(settings)

    def _configuration_taken(self, applied: m.ConfigApplied) -> None:
        self._reply(applied)
        if self._is_new_link:  # not before: the pin this link has just brought beats what a look-up would find
            self._is_new_link = False
            self.timezone.went_live()

    def _offer_live(self, sample: m.Sample) -> None:
        if self._duties is not None:
            self._duties.offer_live(sample)

    def _use_key(self, key: str) -> None:
        self._settings = replace(self._settings, api_token=key)
        self._configuration.use_key(key)
        self._uploader.use_key(key)

    def _reconnect(self) -> None:
        if self._duties is not None:
            self._duties.leave()

    def _error_received(self, error: m.Error) -> None:
        if error.code == "unsupported":
            self._board.link_is_lost()  # an older hub does not know the message
        self._key_renewal.answered(error.ref, error.message)
        self._log("hub_error", code=error.code, message=error.message)
