"""Starting the machine anew (login1)."""

from __future__ import annotations

from typing import Final

from device.system.bus import SystemBus, Target

LOGIND: Final = Target("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


async def reboot(bus: SystemBus, seconds: float) -> None:
    """Ask for a reboot; when this returns it has begun. Raises NotPermittedError or SystemBusError."""
    await bus.ask(LOGIND, "Reboot", "b", (False,), seconds=seconds)
