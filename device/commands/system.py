"""What the operating system answered to a request of ours, as the end of a command.

`reboot`: starts the machine anew, but not while somebody puts bottles in, unless it is forced to.

`restart_service`: starts one of the services anew that this machine's own configuration names, and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final

from device.commands.job import Job, Result, WorkFailed, WorkRejected
from device.kernel.log import Log
from device.system import systemd
from device.system.bus import NotPermittedError, SystemBus, SystemBusError
from device.system.systemd import full_name
from protocol.commands import Reboot, RestartService

NOT_PERMITTED = "not_permitted"


@contextlib.contextmanager
def as_failures() -> Iterator[None]:
    """Codes: `not_permitted`, `timeout`, `no_such_service`, and `system` for whatever else did not work."""
    try:
        yield
    except NotPermittedError as refused:
        raise WorkFailed(NOT_PERMITTED, str(refused)) from refused
    except SystemBusError as failed:
        code = "timeout" if failed.name == "timeout" else "system"
        if failed.name.endswith((".NoSuchUnit", ".LoadFailed")):
            code = "no_such_service"
        raise WorkFailed(code, str(failed)) from failed


LOOK_EVERY_S: Final = 0.25
LEAST_S: Final = 0.5
"""With less time than this left a reboot is not begun any more: its end could not be told from a late one."""
BUS_S: Final = 10.0
GOING_DOWN_S: Final = 240.0
"""How long a machine may take to go down once systemd has agreed; the hub gives five minutes to be back."""


class Reboots:
    """`is_busy` tells whether a return session is open."""

    def __init__(self, bus: SystemBus, is_busy: Callable[[], Awaitable[bool]], log: Log) -> None:
        self._bus = bus
        self._is_busy = is_busy
        self._log = log

    async def run(self, args: Reboot, job: Job) -> Result:
        if args.delay >= job.left_s:
            raise WorkRejected("invalid", "delay: the command's deadline comes before the reboot would")
        if args.delay > 0:
            job.progress("delay", 0, args.delay)
            await job.pause(args.delay)
        await self._wait_for_people(args, job)
        await job.begin("boot")
        with as_failures():
            await systemd.reboot(self._bus, min(BUS_S, job.left_s))
        job.prolong(GOING_DOWN_S)
        job.progress("rebooting")
        self._log("rebooting", id=job.id)
        # The end of this process is part of it: the next boot answers. When none comes, the deadline ends the wait.
        await asyncio.sleep(job.left_s + 60)
        raise WorkFailed("deadline", "the machine did not go down")

    async def _wait_for_people(self, args: Reboot, job: Job) -> None:
        while await self._is_busy():
            if args.force:
                self._log("reboot_forced", id=job.id)
                return
            if job.left_s <= LEAST_S:
                raise WorkFailed("return_session_open", "a return session was still open at the deadline")
            job.progress("return_session")
            await job.pause(min(LOOK_EVERY_S, max(0.01, job.left_s - LEAST_S)))


class ServiceRestarts:
    """`allowed` are the names in the machine's configuration; `own` is the agent's own service, when it is one."""

    def __init__(self, bus: SystemBus, allowed: Collection[str], own: str | None) -> None:
        self._bus = bus
        self._allowed = frozenset(map(full_name, allowed))
        self._own = own

    async def run(self, args: RestartService, job: Job) -> Result:
        unit = full_name(args.service)
        if unit not in self._allowed:
            raise WorkRejected("not_allowed", f"{unit} is not among the services in this machine's configuration")
        # Starting ourselves anew ends this process: the next one answers.
        await job.begin("process" if unit == self._own else "none")
        job.progress("restarting")
        with as_failures():
            await systemd.restart(self._bus, unit, job.left_s)
        return {"service": unit}
