"""`restart_service`: starts one of the services anew that this machine's own configuration names, and no other."""

from __future__ import annotations

from collections.abc import Collection

from device.commands.job import Job, Result, WorkRejected
from device.commands.system_errors import as_failures
from device.system import services
from device.system.bus import SystemBus
from device.system.services import full_name
from protocol.commands import RestartService


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
            await services.restart(self._bus, unit, job.left_s)
        return {"service": unit}
