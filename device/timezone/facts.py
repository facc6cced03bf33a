"""Reads and sets the system's zone; knows the clock's state and services still in an old zone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Final

import msgspec

from device.link.rules import HubClock
from device.settings import AgentSettings
from device.system import clock
from device.system.bus import NotPermittedError, SystemBusError
from device.system.clock import rfc3339
from device.system.systemd import SystemTimezone
from device.timezone.rules import SyncTrouble
from protocol.messages import Failure, TimezoneReport

Step = Callable[[str], Awaitable[None]]
CLOCK_MOVED_S: Final = 5.0


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`changed`: monotonic moment in `boot` at which the zone was another."""

    boot: str = ""
    zone: str | None = None
    changed: float | None = None


class ZoneFacts:
    def __init__(
        self,
        boot: str,
        system: SystemTimezone,
        hub_clock: HubClock,
        ntp: Callable[[], bool | None] = clock.is_synchronised,
    ) -> None:
        self._boot = boot
        self._system = system
        self._hub_clock = hub_clock
        self._ntp = ntp
        self._reported: tuple[bool | None, float | None] | None = None
        self.seen = Seen()

    @property
    def zone(self) -> str | None:
        return self._system.current()

    def clock(self) -> tuple[bool | None, float | None]:
        """In step, and seconds ahead of the hub's; None: unknown."""
        offset = self._hub_clock.offset(time.monotonic(), datetime.now(timezone.utc))
        return self._ntp(), None if offset is None else round(offset, 3)

    def now(self) -> str:
        return rfc3339(self._hub_clock.now(time.monotonic(), datetime.now(timezone.utc)))

    def look(self) -> None:
        zone = self._system.current()
        if self.seen.boot != self._boot:
            self.seen = Seen(boot=self._boot, zone=zone)  # what runs was started with what is set
        elif zone != self.seen.zone:
            self.seen = Seen(boot=self._boot, zone=zone, changed=time.monotonic())

    async def set(self, name: str, step: Step) -> Failure | None:
        self.look()
        if self.zone != name:
            await step("setting")
            try:
                await self._system.set(name)
            except NotPermittedError as refused:
                return Failure(code="not_permitted", message=str(refused)[:500])
            except SystemBusError as failed:
                return Failure(code="not_set", message=str(failed)[:500])
        await step("verifying")
        now = self.zone
        if now == name:
            return None
        return Failure(code="not_verified", message=f"it was set to {name}, but the system still says {now}")

    async def completed(self, report: TimezoneReport, settings: AgentSettings, trouble: SyncTrouble) -> TimezoneReport:
        self.look()
        zone, (ntp, offset) = self.seen.zone, self.clock()
        done = zone == report.timezone
        restart: list[str] = []
        if self.seen.changed is not None:
            restart = await self._system.started_before(settings.names("timezone_services"), self.seen.changed)
        return msgspec.structs.replace(
            report,
            clock_offset=offset,
            ntp=ntp,
            system_timezone=zone,
            applied=None if zone is None else done,
            error=trouble.failure(done=done),
            restart=restart or None,
        )

    def reported(self, report: TimezoneReport) -> None:
        self._reported = (report.ntp, report.clock_offset)

    def clock_has_moved(self) -> bool:
        """Into step, out of it, or set, since the last report."""
        if self._reported is None:
            return False
        (reported_ntp, reported_offset), (ntp, offset) = self._reported, self.clock()
        if ntp != reported_ntp or (reported_offset is None) != (offset is None):
            return True
        return offset is not None and reported_offset is not None and abs(offset - reported_offset) > CLOCK_MOVED_S
