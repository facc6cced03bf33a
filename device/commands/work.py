"""Runs commands that take time, side by side: accepted, begun, ended; each on disk before it is sent.

At most MAX_JOBS run and MAX_WAITING wait, to their deadlines. What was begun is never begun again after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from device.commands.jobs import Job, Result, WorkCancelledError, WorkFailedError, WorkHandler, WorkRejectedError
from device.journal.keeper import StateKeeper
from device.journal.rules import Begun, Ending, Fact
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends
from protocol.messages import CommandUpdate, Failure, Progress

MAX_JOBS: Final = 8
MAX_WAITING: Final = 64
MAX_UNWRITTEN: Final = 1000
PROGRESS_EVERY_S: Final = 0.5

INTERRUPTED: Final = "the agent was stopped while doing it; it was not repeated"


@dataclass
class _Task:
    job: Job
    name: str
    arguments: Any
    sent: CommandUpdate
    sent_at: float = field(default=float("-inf"))


class CommandWork:
    """`boot`: this run of the machine; `reply(update)` sends once."""

    def __init__(
        self,
        keeper: StateKeeper,
        boot: str,
        log: Log,
        reply: Callable[[CommandUpdate], None],
        handlers: Mapping[str, WorkHandler],
    ) -> None:
        self._keeper = keeper
        self._boot = boot
        self._log = log
        self._reply = reply
        self._handlers = handlers
        # Bound: MAX_JOBS and MAX_WAITING; `full` refuses before that.
        self._tasks: dict[str, _Task] = {}
        # Bound: MAX_WAITING, seen to by `full`.
        self._waiting: asyncio.Queue[_Task] = asyncio.Queue()
        # Bound: MAX_UNWRITTEN, the oldest goes.
        self._unwritten: dict[str, CommandUpdate] = {}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._handlers)

    @property
    def full(self) -> bool:
        return self._waiting.qsize() >= MAX_WAITING

    @property
    def goes_down(self) -> bool:
        return any(begun.ending == "boot" for begun in self._keeper.memory.begun.values())

    def now(self, command_id: str) -> CommandUpdate | None:
        task = self._tasks.get(command_id)
        return self._unwritten.get(command_id) if task is None else task.sent

    def cancel(self, command_id: str) -> bool:
        task = self._tasks.get(command_id)
        if task is not None:
            task.job.cancelled.set()
        return task is not None

    async def accept(self, command_id: str, name: str, arguments: Any, deadline: float) -> None:
        """Raises OSError when it cannot be recorded."""
        await self._keeper.step(lambda _: Fact(at=time.time(), accepted=command_id))

        async def begin(ending: Ending) -> None:
            begun = Begun(id=command_id, name=name, boot=self._boot, ending=ending)
            try:
                await self._keeper.step(lambda _: Fact(at=time.time(), begun=begun))
            except OSError as full:
                raise WorkFailedError("disk", "the machine cannot write to its disk") from full

        def report(progress: Progress) -> None:
            self._report_progress(task, progress)

        task = _Task(Job(command_id, deadline, begin, report), name, arguments, _update(command_id, "accepted"))
        self._tasks[command_id] = task
        self._waiting.put_nowait(task)
        self._reply(task.sent)
        self._log("command", name=name, id=command_id, state="accepted")

    async def run(self) -> None:
        await until_one_ends(*(self._work() for _ in range(MAX_JOBS)))

    async def settle_interrupted(self) -> None:
        """Answer what an earlier life began and did not end. Raises OSError."""
        for command_id in self._keeper.memory.drop_accepted():
            self._log("command_forgotten", id=command_id)
        for begun in list(self._keeper.memory.begun.values()):
            await self._answer(begun.name, await self._aftermath(begun))

    async def _aftermath(self, begun: Begun) -> CommandUpdate:
        handler = self._handlers.get(begun.name)
        if handler is not None and handler.aftermath is not None:
            try:
                result = await handler.aftermath(begun.id)
            except WorkFailedError as failed:
                return _update(begun.id, "failed", failed.failure)
            if result is not None:
                return _update(begun.id, "succeeded", result=result)
        if begun.ending == "boot" and begun.boot != self._boot:
            return _update(begun.id, "succeeded", result={"boot_id": self._boot})
        if begun.ending == "process":
            return _update(begun.id, "succeeded", result={"restarted": True})
        return _update(begun.id, "failed", Failure(code="interrupted", message=INTERRUPTED))

    async def _work(self) -> None:
        while True:
            task = await self._waiting.get()
            try:
                await self._end(task, await self._outcome(task))
            finally:
                self._tasks.pop(task.job.id, None)

    async def _outcome(self, task: _Task) -> CommandUpdate:
        try:
            return await self._done(task)
        except Exception as error:  # noqa: BLE001 - the named boundary: command handler
            self._log("handler_failed", where=f"command {task.name} ({task.job.id})", error=repr(error))
            failure = Failure(code="internal", message="the machine could not carry it out")
            return _update(task.job.id, "failed", failure)

    async def _end(self, task: _Task, update: CommandUpdate) -> None:
        try:
            await self._answer(task.name, update)
        except OSError as error:
            # What happened, happened: it is reported, and kept for this life only.
            self._log("handler_failed", where=f"command {task.name} ({task.job.id})", error=str(error))
            self._unwritten[task.job.id] = update
            while len(self._unwritten) > MAX_UNWRITTEN:
                del self._unwritten[next(iter(self._unwritten))]
            self._reply(update)

    async def _done(self, task: _Task) -> CommandUpdate:
        job = task.job
        if job.left_s <= 0:
            return _update(job.id, "rejected", Failure(code="expired", message="its deadline passed while it waited"))
        try:
            result = await _in_time(self._carry_out(task), job)
        except WorkCancelledError:
            return _update(job.id, "rejected", Failure(code="cancelled", message="it was cancelled before its effect"))
        except WorkFailedError as failed:
            return _update(job.id, "rejected" if isinstance(failed, WorkRejectedError) else "failed", failed.failure)
        except (TimeoutError, asyncio.TimeoutError):
            if job.left_s > 0:
                raise
            if not job.begun:
                return _update(
                    job.id, "rejected", Failure(code="expired", message="its deadline passed before it began")
                )
            return _update(job.id, "failed", Failure(code="deadline", message="it had not ended at its deadline"))
        return _update(job.id, "succeeded", result=result)

    async def _carry_out(self, task: _Task) -> Result:
        handler, job = self._handlers[task.name], task.job
        job.check()
        if not handler.begins_itself:
            await job.begin()
        self._send_update(task, _update(job.id, "running"))
        return await handler.run(task.arguments, job)

    async def _answer(self, name: str, update: CommandUpdate) -> None:
        await self._keeper.step(lambda _: Fact(at=time.time(), answered=update))
        self._log("command", name=name, id=update.id, state=update.state)

    def _report_progress(self, task: _Task, progress: Progress) -> None:
        now = time.monotonic()
        update = CommandUpdate(id=task.job.id, state="running", progress=progress)
        before = task.sent.progress
        if before is not None and before.phase == progress.phase and now - task.sent_at < PROGRESS_EVERY_S:
            task.sent = update
            return
        task.sent_at = now
        self._send_update(task, update)

    def _send_update(self, task: _Task, update: CommandUpdate) -> None:
        task.sent = update
        self._reply(update)


async def _in_time(work: Coroutine[Any, Any, Result], job: Job) -> Result:
    """TimeoutError at the deadline, which the work may move."""
    ended: list[Result] = []

    async def run() -> None:
        ended.append(await work)

    async def watch() -> None:
        while job.left_s > 0:  # noqa: ASYNC110 - it sleeps to the deadline, which may have moved by then
            await asyncio.sleep(job.left_s)

    await until_one_ends(run(), watch())
    if not ended:
        raise asyncio.TimeoutError
    return ended[0]


def _update(
    command_id: str, state: Any, error: Failure | None = None, *, result: Result | None = None
) -> CommandUpdate:
    return CommandUpdate(id=command_id, state=state, error=error, result=result)
