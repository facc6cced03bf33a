"""The zone of the operating system: read where programs read it, set through timedated, verified by reading again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from device.system.bus import NotPermittedError, Session, SystemBus, SystemBusError, Target
from device.system.hardware import timezone_name
from device.system.systemd import SYSTEMD
from protocol.zones import is_zone

TIMEDATED: Final = Target("org.freedesktop.timedate1", "/org/freedesktop/timedate1", "org.freedesktop.timedate1")
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_SERVICE: Final = "org.freedesktop.systemd1.Service"


class SystemTimezone:
    """`root` is where /etc is found."""

    def __init__(self, bus: SystemBus, root: Path) -> None:
        self._bus = bus
        self._root = root

    def current(self) -> str | None:
        """What new programs on this computer take for their zone; None when that cannot be told."""
        return timezone_name(self._root)

    async def set(self, name: str) -> None:
        """Set it; raises NotPermittedError or SystemBusError. Only a name of the zone database ever leaves here."""
        if not is_zone(name):
            raise ValueError(f"{name!r} is no zone")
        await self._bus.ask(TIMEDATED, "SetTimezone", "sb", (name, False))

    async def started_before(self, units: Sequence[str], moment: float) -> list[str]:
        """Those of the services that have been running since before the monotonic `moment`. One that nobody can tell
        anything about is among them: better one restart too many than a service in the old zone."""

        async def look(session: Session) -> list[str]:
            return [unit for unit in units if await _is_older(session, unit, moment)]

        if not units:
            return []
        try:
            return await self._bus.during(look, 5.0)
        except (NotPermittedError, SystemBusError):
            return list(units)


async def _is_older(session: Session, unit: str, moment: float) -> bool:
    try:
        name = unit if "." in unit else f"{unit}.service"
        (path,) = (await session.call(SYSTEMD, "GetUnit", "s", (name,))).body
        started = Target(SYSTEMD.service, path, _PROPERTIES)
        reply = await session.call(started, "Get", "ss", (_SERVICE, "ExecMainStartTimestampMonotonic"))
        begun_us = int(reply.body[0][1])
    except SystemBusError as error:
        return not error.name.endswith("NoSuchUnit")  # not loaded: nothing of it runs
    return 0 < begun_us < moment * 1_000_000
