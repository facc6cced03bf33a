"""What a simulated machine does over seconds: restart a service, find its time zone, reboot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from demo.simulated_jobs import Begin, Work
from demo.simulated_plan import SERVICES
from demo.simulated_status import Declaration
from demo.simulated_zone import Zone
from protocol import commands
from protocol import messages as m

STEP_S: Final = 1.5
SLOW_STEP_S: Final = 60.0
LOOK_S: Final = 0.5
"""How often a reboot looks whether the return session has ended."""
RESTARTING: Final = ("stopping", "starting", "checking")
SYNCING: Final = ("asking", "setting", "verifying")


class Workshop:
    """`work` is what `Jobs` may begin; what else there is to tell meanwhile is fetched by `said`."""

    def __init__(self, role: str, declaration: Declaration, zone: Zone) -> None:
        self._declaration = declaration
        self._zone = zone
        self._step_s = SLOW_STEP_S if role == "slow" else STEP_S
        self._said: list[m.MachineMessage] = []
        self.rebooting = False
        self.work: Mapping[str, Begin] = {
            "restart_service": self._restart_service,
            "sync_timezone": self._sync_timezone,
            "reboot": self._reboot,
        }

    def said(self) -> list[m.MachineMessage]:
        said, self._said = self._said, []
        return said

    def _restart_service(self, wanted: commands.RestartService, deadline: float) -> Work:
        del deadline  # it takes seconds
        if wanted.service not in SERVICES:
            known = ", ".join(SERVICES)
            return m.Failure(code="unknown_service", message=f"it may restart {known} only")
        for number, phase in enumerate(RESTARTING):
            yield m.Progress(phase=phase, done=number, total=len(RESTARTING)), STEP_S
        if self._zone.restarted(wanted.service):
            self._said.append(self._zone.report)
        return {"service": wanted.service, "active": True}

    def _sync_timezone(self, wanted: commands.SyncTimezone, deadline: float) -> Work:
        del deadline  # desired state: a day
        if wanted.timezone and self._zone.pinned not in ("", wanted.timezone):
            return m.Failure(code="pinned", message=f"{self._zone.pinned} is pinned in this machine's settings")
        now = 0.0
        for number, phase in enumerate(SYNCING):
            now = yield m.Progress(phase=phase, done=number, total=len(SYNCING)), self._step_s
        report = self._zone.sync("manual", now, wanted.timezone or "")
        self._said.append(report)
        if report.error is not None:
            return report.error
        return {"timezone": report.timezone, "source": report.source, "applied": report.applied}

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
