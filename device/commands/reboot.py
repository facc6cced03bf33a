"""`reboot`: starts the machine anew, but not while somebody puts bottles in, unless it is forced to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from device.commands.job import Job, Result, WorkFailed, WorkRejected
from device.commands.system_errors import as_failures
from device.log import Log
from device.system import power
from device.system.bus import SystemBus
from protocol.commands import Reboot

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
            await power.reboot(self._bus, min(BUS_S, job.left_s))
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
