"""Services of the operating system (systemd1): starting one anew, and hearing whether that worked.

Starting the machine anew (login1).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from device.system.bus import Session, SystemBus, SystemBusError, Target, said
from device.system_monitor.reading import text_of

SYSTEMD: Final = Target("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")

_KINDS: Final = (".service", ".socket", ".target", ".timer", ".path", ".mount")


async def restart(bus: SystemBus, unit: str, seconds: float) -> None:
    """Start `unit` anew, and wait until systemd says that it has. Raises NotPermittedError or SystemBusError, whose
    name is systemd's own word (`failed`, `timeout`, `dependency`, ...) when the service did not come up."""

    async def restart_it(session: Session) -> None:
        async with session.signals(SYSTEMD, "JobRemoved") as ends:
            await session.call(SYSTEMD, "Subscribe")
            asked = await session.call(SYSTEMD, "RestartUnit", "ss", (unit, "replace"))
            (job,) = asked.body
            while True:
                ended = said(await ends.get())
                # Anybody may send a signal: only that of the one who took the job counts.
                if ended.sender == asked.sender and ended.body[1] == job:
                    break
        if ended.body[3] != "done":
            raise SystemBusError(str(ended.body[3]), f"{unit} did not start")

    await bus.during(restart_it, seconds)


async def states(bus: SystemBus, names: Collection[str], seconds: float) -> dict[str, str]:
    """For each of these services systemd's own word for how it is (`active`, `failed`, ...). Raises NotPermittedError
    or SystemBusError."""
    units = {name: full_name(name) for name in names}

    async def ask(session: Session) -> dict[str, str]:
        reply = await session.call(SYSTEMD, "ListUnitsByNames", "as", (list(units.values()),))
        found = {str(unit[0]): (str(unit[2]), str(unit[3])) for unit in reply.body[0]}
        said = {unit: load if load == "not-found" else active for unit, (load, active) in found.items()}
        return {name: said[unit] for name, unit in units.items() if unit in said}

    return await bus.during(ask, seconds)


def full_name(unit: str) -> str:
    """`camera` and `camera.service` are the same service, as for systemctl."""
    return unit if unit.endswith(_KINDS) else f"{unit}.service"


def own_unit(root: Path) -> str | None:
    """The service this process belongs to; None when it was started by hand."""
    for line in (text_of(root / "proc/self/cgroup") or "").splitlines():
        name = line.rpartition("/")[2]
        if name.endswith(".service") and not name.startswith("user@"):
            return name
    return None


LOGIND: Final = Target("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


async def reboot(bus: SystemBus, seconds: float) -> None:
    """Ask for a reboot; when this returns it has begun. Raises NotPermittedError or SystemBusError."""
    await bus.ask(LOGIND, "Reboot", "b", (False,), seconds=seconds)
