"""Executes a simulated machine's commands: once for each id, answered until received.

What takes seconds (a service, a time zone, a reboot) is a generator: it yields its progress and how long that takes,
and returns its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from demo.simulated_backup import SimulatedBackups
from demo.simulated_plan import SERVICES, moment
from demo.simulated_status import Declaration
from demo.simulated_zone import Zone
from protocol import commands
from protocol import messages as m
from protocol.commands import ARGUMENTS

Ended = m.Failure | dict[str, Any]
Work = Generator[tuple[m.Progress, float], float, Ended]
"""Yields (progress, seconds until it goes on), is sent the present moment, returns the end."""
Atomic = Callable[[Any, float], Ended]
Begin = Callable[[Any, float], Work]


class _Job:
    def __init__(self, command: m.Command, work: Work) -> None:
        self.command, self.work = command, work
        self.begun = False
        self.next_at = 0.0
        self.progress: m.Progress | None = None


class Abilities(NamedTuple):
    atomic: Mapping[str, Atomic]
    work: Mapping[str, Begin]


class Jobs:
    """One at a time. `now`: Unix seconds."""

    def __init__(self, abilities: Abilities) -> None:
        self._atomic, self._work = abilities
        self._journal: dict[str, m.CommandUpdate] = {}
        self._unconfirmed: dict[str, None] = {}
        self._jobs: list[_Job] = []

    @property
    def unconfirmed(self) -> list[m.CommandUpdate]:
        return [self._journal[each] for each in self._unconfirmed]

    def confirm(self, command_id: str) -> None:
        self._unconfirmed.pop(command_id, None)

    def due(self) -> float:
        return self._jobs[0].next_at if self._jobs else math.inf

    def take(self, command: m.Command, now: float) -> list[m.MachineMessage]:
        """A known id is answered from memory."""
        known = self._journal.get(command.id)
        if known is not None:
            return [known]
        if any(job.command.id == command.id for job in self._jobs):
            return [m.CommandUpdate(id=command.id, state="accepted")]
        if moment(command.expires_at) <= now:
            return [self._reject(command.id, "expired", "the command came too late")]
        if command.name not in self._atomic and command.name not in self._work:
            return [self._reject(command.id, "unsupported", f"a simulated machine does not know {command.name}")]
        try:
            arguments = msgspec.convert(command.args, ARGUMENTS[command.name])
        except msgspec.ValidationError:
            return [self._reject(command.id, "invalid", f"the arguments of {command.name} are wrong")]
        if command.name in self._atomic:
            return self._at_once(command, arguments, now)
        self._jobs.append(_Job(command, self._work[command.name](arguments, moment(command.expires_at))))
        return [m.CommandUpdate(id=command.id, state="accepted"), *self.act(now)]

    def cancel(self, command_id: str) -> list[m.MachineMessage]:
        """Also one that was never seen."""
        known = self._journal.get(command_id)
        if known is not None:
            return [known]
        self._jobs = [job for job in self._jobs if job.command.id != command_id]
        return [self._reject(command_id, "cancelled", "it was cancelled")]

    def act(self, now: float) -> list[m.MachineMessage]:
        messages: list[m.MachineMessage] = []
        while self._jobs and self._jobs[0].next_at <= now:
            messages += self._go_on(self._jobs[0], now)
        return messages

    def interrupted(self, done: str, result: dict[str, Any]) -> None:
        """After a restart: `done` had asked for it, all others were cut off."""
        for job in self._jobs:
            if job.command.id == done:
                self._end(done, result)
            elif job.begun:
                self._end(job.command.id, m.Failure(code="interrupted", message="the machine started again meanwhile"))
        self._jobs = []  # what had not begun comes again from the hub

    @property
    def present(self) -> str:
        return self._jobs[0].command.id if self._jobs else ""

    def _at_once(self, command: m.Command, arguments: Any, now: float) -> list[m.MachineMessage]:
        ended = self._atomic[command.name](arguments, now)
        if isinstance(ended, m.Failure):
            return [self._reject(command.id, ended.code, ended.message)]
        return [m.CommandUpdate(id=command.id, state="accepted"), self._end(command.id, ended)]

    def _go_on(self, job: _Job, now: float) -> list[m.MachineMessage]:
        try:
            progress, seconds = job.work.send(now) if job.begun else next(job.work)
        except StopIteration as end:
            self._jobs.remove(job)
            return [self._end(job.command.id, end.value)]
        job.begun, job.next_at = True, now + seconds
        if progress == job.progress:
            return []
        job.progress = progress
        return [m.CommandUpdate(id=job.command.id, state="running", progress=progress)]

    def _end(self, command_id: str, ended: Ended) -> m.CommandUpdate:
        if isinstance(ended, m.Failure):
            return self._remember(m.CommandUpdate(id=command_id, state="failed", error=ended))
        return self._remember(m.CommandUpdate(id=command_id, state="succeeded", result=ended))

    def _reject(self, command_id: str, code: str, why: str) -> m.CommandUpdate:
        error = m.Failure(code=code, message=why)
        return self._remember(m.CommandUpdate(id=command_id, state="rejected", error=error))

    def _remember(self, final: m.CommandUpdate) -> m.CommandUpdate:
        self._journal[final.id] = final
        self._unconfirmed[final.id] = None
        return final


STEP_S: Final = 1.5
SLOW_STEP_S: Final = 60.0
LOOK_S: Final = 0.5
"""Between looks whether the customer has left."""
RESTARTING: Final = ("stopping", "starting", "checking")
SYNCING: Final = ("asking", "setting", "verifying")


class Workshop:
    """`work`: for `Jobs`; `take_reports`: what else to report."""

    def __init__(self, role: str, declaration: Declaration, zone: Zone, backups: SimulatedBackups) -> None:
        self._declaration = declaration
        self._zone = zone
        self._backups = backups
        self._step_s = SLOW_STEP_S if role == "slow" else STEP_S
        self._reports: list[m.MachineMessage] = []
        self.rebooting = False
        self.work: Mapping[str, Begin] = {
            "restart_service": self._restart_service,
            "sync_timezone": self._sync_timezone,
            "reboot": self._reboot,
            "start_backup": self._start_backup,
        }

    def take_reports(self) -> list[m.MachineMessage]:
        reports, self._reports = self._reports, []
        return reports

    def _restart_service(self, wanted: commands.RestartService, deadline: float) -> Work:
        del deadline  # it takes seconds
        if wanted.service not in SERVICES:
            known = ", ".join(SERVICES)
            return m.Failure(code="unknown_service", message=f"it may restart {known} only")
        for number, phase in enumerate(RESTARTING):
            yield m.Progress(phase=phase, done=number, total=len(RESTARTING)), STEP_S
        if self._zone.restarted(wanted.service):
            self._reports.append(self._zone.report)
        return {"service": wanted.service, "active": True}

    def _sync_timezone(self, wanted: commands.SyncTimezone, deadline: float) -> Work:
        del deadline  # desired state: a day
        if wanted.timezone and self._zone.pinned not in ("", wanted.timezone):
            return m.Failure(code="pinned", message=f"{self._zone.pinned} is pinned in this machine's settings")
        now = 0.0
        for number, phase in enumerate(SYNCING):
            now = yield m.Progress(phase=phase, done=number, total=len(SYNCING)), self._step_s
        report = self._zone.sync("manual", now, wanted.timezone or "")
        self._reports.append(report)
        if report.error is not None:
            return report.error
        return {"timezone": report.timezone, "source": report.source, "applied": report.applied}

    def _start_backup(self, wanted: commands.StartBackup, deadline: float) -> Work:
        now = yield m.Progress(phase="scanning"), 0.0
        running = self._backups.start(wanted, now)
        while running.ended is None:
            if now >= deadline - 1:
                return m.Failure(code="deadline", message="it had not ended at its deadline")
            now = yield running.progress, LOOK_S
        return running.ended

    def _reboot(self, wanted: commands.Reboot, deadline: float) -> Work:
        now = 0.0
        while self._declaration.busy and not wanted.force:
            if now >= deadline - 1:
                return m.Failure(
                    code="return_session_open", message="somebody was in front of the machine all the time"
                )
            now = yield m.Progress(phase="return_session"), LOOK_S
        if wanted.delay:
            yield m.Progress(phase="delay", total=wanted.delay), wanted.delay
        self.rebooting = True
        while True:  # it ends with the boot
            yield m.Progress(phase="rebooting"), deadline
