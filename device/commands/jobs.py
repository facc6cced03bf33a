"""Commands that take time: what each is given, how it ends, what it does.

A handler is `async def run(args, job) -> result`. It raises WorkFailedError to end `failed`; WorkCancelledError passes.
What cannot be undone comes after `job.begin()`: from there on a restart of the agent never repeats it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from device.journal.rules import Ending
from device.kernel.log import Log
from device.kernel.tasks import wait_at_most
from device.system import systemd
from device.system.bus import NotPermittedError, SystemBus, SystemBusError
from device.system.systemd import full_name
from device.timezone.sync import TimezoneSyncClient
from protocol.commands import Reboot, RestartService, SyncTimezone
from protocol.messages import Failure, Progress
from protocol.zones import is_zone

Result = dict[str, object]


class WorkFailedError(Exception):
    """The work ends its command as `failed`, with this code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.failure = Failure(code=code, message=message[:500])


class WorkRejectedError(WorkFailedError):
    """Nothing was done: the command ends as `rejected`."""


class WorkCancelledError(Exception):
    """The command was withdrawn in time: it ends as `rejected` with the code `cancelled`."""


class Job:
    """One run of one command. `deadline`: monotonic; `cancelled`: set when the hub withdraws it."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the wire's word
        deadline: float,
        begin: Callable[[Ending], Awaitable[None]],
        report: Callable[[Progress], None],
    ) -> None:
        self.id = id
        self.deadline = deadline
        self.cancelled = asyncio.Event()
        self.begun = False
        self._begin = begin
        self._report = report

    @property
    def left_s(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def prolong(self, seconds: float) -> None:
        self.deadline = max(self.deadline, time.monotonic() + seconds)

    def progress(self, phase: str, done: float | None = None, total: float | None = None) -> None:
        """Report progress; never waits, and may be called as often as the work likes."""
        self._report(Progress(phase=phase, done=done, total=total))

    def check(self) -> None:
        if self.cancelled.is_set():
            raise WorkCancelledError

    async def begin(self, ending: Ending = "none") -> None:
        """Pass the point of no return, which is on disk when this returns. `ending`: what the end of this process means
        for the command. Raises WorkCancelledError, or WorkFailedError when the disk is full."""
        if not self.begun:
            self.check()
            await self._begin(ending)
            self.begun = True

    async def pause(self, seconds: float) -> None:
        """Wait, and raise WorkCancelledError as soon as the command is withdrawn."""
        await wait_at_most(self.cancelled, seconds)
        self.check()


class WorkHandler(NamedTuple):
    """How a command is worked on. `begins_itself`: it calls `job.begin()`. `aftermath`: what became of a command that
    an earlier life began: its result, WorkFailedError, or None for unknown."""

    run: Callable[[Any, Job], Awaitable[Result]]
    begins_itself: bool = False
    aftermath: Callable[[str], Awaitable[Result | None]] | None = None


NOT_PERMITTED = "not_permitted"


@contextlib.contextmanager
def as_failures() -> Iterator[None]:
    """Raise errors of the system bus as WorkFailedError: `not_permitted`, `timeout`, `no_such_service`, or `system`."""
    try:
        yield
    except NotPermittedError as refused:
        raise WorkFailedError(NOT_PERMITTED, str(refused)) from refused
    except SystemBusError as failed:
        code = "timeout" if failed.name == "timeout" else "system"
        if failed.name.endswith((".NoSuchUnit", ".LoadFailed")):
            code = "no_such_service"
        raise WorkFailedError(code, str(failed)) from failed


LOOK_EVERY_S: Final = 0.25
LEAST_S: Final = 0.5
"""With less time left no reboot begins: its end would look like a late one."""
BUS_S: Final = 10.0
GOING_DOWN_S: Final = 240.0
"""For the machine to go down once systemd agreed."""


class Reboots:
    """`is_busy`: a return session is open."""

    def __init__(self, bus: SystemBus, is_busy: Callable[[], Awaitable[bool]], log: Log) -> None:
        self._bus = bus
        self._is_busy = is_busy
        self._log = log

    async def run(self, args: Reboot, job: Job) -> Result:
        if args.delay >= job.left_s:
            raise WorkRejectedError("invalid", "delay: the command's deadline comes before the reboot would")
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
        raise WorkFailedError("deadline", "the machine did not go down")

    async def _wait_for_people(self, args: Reboot, job: Job) -> None:
        while await self._is_busy():
            if args.force:
                self._log("reboot_forced", id=job.id)
                return
            if job.left_s <= LEAST_S:
                raise WorkFailedError("return_session_open", "a return session was still open at the deadline")
            job.progress("return_session")
            await job.pause(min(LOOK_EVERY_S, max(0.01, job.left_s - LEAST_S)))


class ServiceRestarts:
    def __init__(self, bus: SystemBus, allowed: Collection[str], own: str | None) -> None:
        self._bus = bus
        self._allowed = frozenset(map(full_name, allowed))
        self._own = own

    async def run(self, args: RestartService, job: Job) -> Result:
        unit = full_name(args.service)
        if unit not in self._allowed:
            raise WorkRejectedError("not_allowed", f"{unit} is not among the services in this machine's configuration")
        # Starting ourselves anew ends this process: the next one answers.
        await job.begin("process" if unit == self._own else "none")
        job.progress("restarting")
        with as_failures():
            await systemd.restart(self._bus, unit, job.left_s)
        return {"service": unit}


def sync_timezone_handler(client: TimezoneSyncClient) -> WorkHandler:
    """Works on `sync_timezone`, which can be withdrawn until the zone is set; after a restart it is done again."""

    async def run(args: SyncTimezone, job: Job) -> Result:
        if not client.allows_manual:
            raise WorkRejectedError(
                "manual_sync_disabled", "manual_sync_enabled is off in this machine's configuration"
            )
        if args.timezone is not None and not is_zone(args.timezone):
            raise WorkRejectedError("unknown_zone", f"{args.timezone} is no name of the IANA time zone database")
        if args.timezone is not None and client.pinned not in ("", args.timezone):
            pin = f"{client.pinned} is pinned in this machine's settings (pinned_timezone)"
            raise WorkRejectedError("pinned", f"{pin}: change the pin there, or take it away and ask again")

        async def step(phase: str) -> None:
            if phase == "setting":
                await job.begin()
            else:
                job.check()
            job.progress(phase)

        report = await client.sync_timezone("manual", args.timezone, step)
        if report.error is not None:
            raise WorkFailedError(report.error.code, report.error.message)
        members = msgspec.to_builtins(report)
        return {name: value for name, value in members.items() if name not in ("type", "sync_method", "timestamp")}

    return WorkHandler(run, begins_itself=True)
