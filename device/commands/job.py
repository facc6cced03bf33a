"""What a command that takes its time is given, and how it ends other than well. Knows no link and no journal.

A handler is `async def run(args, job) -> result`. It raises WorkFailed to end `failed` and lets WorkCancelled pass.
Whatever cannot be undone is done after `job.begin()`: from there on a restart of the agent never repeats it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from device.journal.rules import Ending
from device.kernel.tasks import wait_at_most
from protocol.messages import Failure, Progress

Result = dict[str, object]


class WorkFailed(Exception):  # noqa: N818 - it reads as what happened
    """The command ends `failed` with this code and sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.failure = Failure(code=code, message=message[:500])


class WorkRejected(WorkFailed):
    """Nothing was done: the command ends `rejected` with this code and sentence."""


class WorkCancelled(Exception):  # noqa: N818 - likewise
    """The command was withdrawn before it had an effect: it ends `rejected` with the code `cancelled`."""


class Job:
    """One run of one command. `deadline` is on the monotonic clock; `cancelled` is set when the hub withdraws it."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the wire's word
        deadline: float,
        begin: Callable[[Ending], Awaitable[None]],
        tell: Callable[[Progress], None],
    ) -> None:
        self.id = id
        self.deadline = deadline
        self.cancelled = asyncio.Event()
        self.begun = False
        self._begin = begin
        self._tell = tell

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, 0 behind it."""
        return max(0.0, self.deadline - time.monotonic())

    def prolong(self, seconds: float) -> None:
        """Allow at least so many more seconds: for what cannot be taken back any more and takes longer to end."""
        self.deadline = max(self.deadline, time.monotonic() + seconds)

    def progress(self, phase: str, done: float | None = None, total: float | None = None) -> None:
        """Say how far it is; never waits, and may be called as often as one likes."""
        self._tell(Progress(phase=phase, done=done, total=total))

    def check(self) -> None:
        """Raise WorkCancelled when the command was withdrawn."""
        if self.cancelled.is_set():
            raise WorkCancelled

    async def begin(self, ending: Ending = "none") -> None:
        """The point of no return: on disk before this returns, so that it happens once. `ending` tells what the end
        of this process would mean for the command. Raises WorkCancelled, or WorkFailed when the disk is full."""
        if not self.begun:
            self.check()
            await self._begin(ending)
            self.begun = True

    async def pause(self, seconds: float) -> None:
        """Wait so long; raises WorkCancelled as soon as the command is withdrawn."""
        await wait_at_most(self.cancelled, seconds)
        self.check()


class WorkHandler(NamedTuple):
    """`begins_itself`: the handler calls `job.begin()`; otherwise that has been done when it is called."""

    run: Callable[[Any, Job], Awaitable[Result]]
    begins_itself: bool = False
