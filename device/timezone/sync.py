"""Keeps the time zone right: looks it up, sets, verifies, reports; at start, every interval, on command. Timers are
monotonic."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from device.kernel import state_file
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, wait_at_most
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings
from device.timezone.facts import Seen, Step, ZoneFacts
from device.timezone.lookup import look_up
from device.timezone.rules import FoundZone, NoAnswerError, SyncRhythm, SyncTrouble, choose, described, lost
from protocol.kinds import SyncMethod
from protocol.messages import TimezoneReport

START_WITHIN_S: Final = 60.0
"""Without a hub it still gets its zone."""
CLOCK_LOOK_S: Final = 30.0
FILE: Final = "timezone"
_DECISIVE: Final = ("pinned_timezone", "default_timezone", "timezone_api_url")


class Remembered(msgspec.Struct, kw_only=True, omit_defaults=True):
    """On disk. `pin`: named by a command; `found`: the newest look-up's answer; `trouble`: of the attempt of
    `report`."""

    report: TimezoneReport | None = None
    found: FoundZone | None = None
    trouble: SyncTrouble = msgspec.field(default_factory=SyncTrouble)
    pin: str = ""
    seen: Seen = msgspec.field(default_factory=Seen)


class TimezoneStatus(msgspec.Struct, kw_only=True):
    """`in_step`: the system has the wanted zone."""

    timezone: str | None
    system_timezone: str | None
    in_step: bool | None
    clock_offset: float | None
    ntp: bool | None
    report: TimezoneReport | None


async def _no_step(_: str) -> None:
    return


class TimezoneSyncClient:
    """`send(report)`: on the present link; `ask` looks up, in its own thread."""

    def __init__(
        self,
        settings: AgentSettings,
        facts: ZoneFacts,
        disk: WorkerThread,
        log: Log,
        send: Callable[[TimezoneReport], None],
        ask: Callable[[Sequence[str]], FoundZone] = look_up,
    ) -> None:
        self._settings = settings
        self._file: Path = settings.state_dir / FILE
        self._facts = facts
        self._disk = disk
        self._log = log
        self._send = send
        self._ask = ask
        self._lookups: WorkerThread | None = None
        self._known = Remembered()
        self._rhythm = SyncRhythm(random.random)
        self._is_reported = True
        self._busy = asyncio.Lock()
        self._begin, self._new_link, self._replan = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.configure(settings)

    async def open(self) -> None:
        known = await self._disk.call(lambda: state_file.read_value(self._file, Remembered))
        self._known = known or Remembered()
        self._facts.seen = self._known.seen

    def configure(self, settings: AgentSettings) -> None:
        """Another pin, default or address starts an attempt."""
        if any(settings.values[key] != self._settings.values[key] for key in _DECISIVE):
            self._rhythm.at_once()
        self._settings = settings
        self._rhythm.set_interval(settings.switch("auto_sync_enabled"), settings.number("sync_interval"))
        self._replan.set()

    def went_live(self) -> None:
        self._is_reported = False
        self._begin.set()
        self._new_link.set()

    async def run(self) -> None:
        await until_one_ends(self._sync_when_due(), self._report_again())

    @property
    def pinned(self) -> str:
        """Then no command names another zone."""
        return self._settings.text("pinned_timezone")

    @property
    def allows_manual(self) -> bool:
        return self._settings.switch("manual_sync_enabled")

    def get_timezone_status(self) -> TimezoneStatus:
        report, system, (ntp, offset) = self._known.report, self._facts.zone, self._facts.clock()
        wanted = None if report is None else report.timezone
        return TimezoneStatus(
            timezone=wanted,
            system_timezone=system,
            in_step=None if wanted is None or system is None else wanted == system,
            clock_offset=offset,
            ntp=ntp,
            report=report,
        )

    async def sync_timezone(
        self, method: SyncMethod = "automatic", wanted: str | None = None, step: Step = _no_step
    ) -> TimezoneReport:
        """Make one attempt and send its report. `wanted`: an operator's zone, a pin from now on, unless the
        configuration pins one. `step` gets asking, setting and verifying, and may raise to end it."""
        async with self._busy:
            await step("asking")
            found = await self._asked()
            known, answer = self._known, found if isinstance(found, FoundZone) else None
            own = "" if self.pinned else wanted or known.pin
            pin = self.pinned or own
            choice = choose(pin, answer, known.found, self._settings.text("default_timezone"))
            setting = await self._facts.set(choice.timezone, step)
            # A pin needs no look-up: one that failed is in the log then, and no fault of the attempt.
            lookup = "" if pin or isinstance(found, FoundZone) else lost(choice, found)
            report = described(choice, answer, known.found, self._facts.now(), method)
            known.pin, known.found = own, answer or known.found
            known.trouble = SyncTrouble(lookup=lookup, setting=setting)
            self._rhythm.attempted(time.monotonic(), found=answer is not None or bool(pin))
            report = await self._completed(report)
            self._log_synced(report)
            if setting is not None:
                self._log("zone_trouble", why=setting.message)
            await self._keep_and_report(report)
            return report

    def _log_synced(self, report: TimezoneReport) -> None:
        """Without a system bus nobody knows what the system is set to."""
        system, found = report.system_timezone, {"timezone": report.timezone, "source": report.source or "?"}
        if system is None:
            self._log("zone_synced_alone", **found)
        else:
            self._log("zone_synced", system=system, **found)

    async def _asked(self) -> FoundZone | NoAnswerError:
        urls = [url.strip() for url in self._settings.text("timezone_api_url").split(",")]
        self._lookups = self._lookups or WorkerThread("lookups")
        try:
            return await self._lookups.call(self._ask, urls)
        except NoAnswerError as none:
            self._log("zone_lookup_failed", why=none)
            return none

    async def _completed(self, report: TimezoneReport) -> TimezoneReport:
        return await self._facts.completed(report, self._settings, self._known.trouble)

    async def _sync_when_due(self) -> None:
        await wait_at_most(self._begin, START_WITHIN_S)
        while True:
            self._replan.clear()
            if self._rhythm.due() <= time.monotonic():
                await self.sync_timezone()
            await wait_at_most(self._replan, self._rhythm.due() - time.monotonic())

    async def _report_again(self) -> None:
        while True:
            await wait_at_most(self._new_link, CLOCK_LOOK_S)
            self._new_link.clear()
            async with self._busy:
                if self._known.report is not None and (not self._is_reported or self._facts.clock_has_moved()):
                    await self._keep_and_report(await self._completed(self._known.report))

    async def _keep_and_report(self, report: TimezoneReport) -> None:
        self._known.report, self._known.seen = report, self._facts.seen
        try:
            await self._disk.call(state_file.write_value, self._file, self._known)
        except OSError as error:
            self._log("zone_not_kept", why=error.strerror or error)
        self._is_reported = True
        self._facts.reported(report)
        self._send(report)
