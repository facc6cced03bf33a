"""Takes commands in order: known id? in time? legal? Then does them in one step, or queues them in `commands.work`.

A one-step command's effect and its id are one fact on disk: once or not at all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, Final

import msgspec

from device.commands.steps import AtomicCommand, ping, set_status
from device.commands.work import CommandWork
from device.journal.keeper import StateKeeper
from device.journal.rules import Fact
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends
from device.link.rules import HubClock, Moment, parse_time
from device.status.rules import MachineState, RefusedError
from device.system.clock import utc_now
from protocol.commands import ARGUMENTS
from protocol.messages import Cancel, Command, CommandUpdate, Failure

Handler = Callable[[MachineState, Any, Moment], tuple[MachineState, dict[str, object]]]
HANDLERS: Final[Mapping[str, Handler]] = {"ping": ping, "set_status": set_status}
MAX_WAITING: Final = 64
"""Commands not yet done; more are rejected as `busy`, which the hub may repeat."""


class CommandRouter:
    """`reply(update)` sends once."""

    def __init__(
        self,
        keeper: StateKeeper,
        clock: HubClock,
        log: Log,
        reply: Callable[[CommandUpdate], None],
        work: CommandWork,
        handlers: Mapping[str, Handler] = HANDLERS,
        steps: Mapping[str, AtomicCommand] = MappingProxyType({}),
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._log = log
        self._reply = reply
        self._work = work
        self._handlers = handlers
        self._steps = steps
        # Bound: MAX_WAITING.
        self._waiting: asyncio.Queue[Command | Cancel] = asyncio.Queue(MAX_WAITING)
        # Bound: those that wait.
        self._waiting_ids: Counter[str] = Counter()
        # Bound: a part of those that wait.
        self._withdrawn: set[str] = set()
        # Bound: MAX_WAITING, the oldest goes.
        self._failed_here: dict[str, CommandUpdate] = {}

    @property
    def capabilities(self) -> list[str]:
        return sorted({*self._handlers, *self._steps, *self._work.names})

    def offer(self, asked: Command | Cancel) -> None:
        if isinstance(asked, Cancel) and self._work.cancel(asked.id):
            return
        if isinstance(asked, Cancel) and self._waiting_ids[asked.id]:
            self._withdrawn.add(asked.id)
            return
        if self._keeper.memory.outbox.full:
            self._reply(_refused(asked, "busy", "too many results wait for the hub"))
            return
        try:
            self._waiting.put_nowait(asked)
        except asyncio.QueueFull:
            self._reply(_refused(asked, "busy", "too many commands at once"))
        else:
            self._waiting_ids[asked.id] += 1

    async def run(self) -> None:
        await until_one_ends(self._take_turns(), self._work.run())

    async def _take_turns(self) -> None:
        """Handle commands one after the other. A failing handler fails its command only."""
        while True:
            asked = await self._waiting.get()
            withdrawn = isinstance(asked, Cancel) or asked.id in self._withdrawn
            self._waiting_ids[asked.id] -= 1
            if not self._waiting_ids[asked.id]:
                del self._waiting_ids[asked.id]
                self._withdrawn.discard(asked.id)
            try:
                await self.handle(asked, cancelled=withdrawn)
            except Exception as error:  # noqa: BLE001 - the named boundary: command handler
                self._log("handler_failed", where=_place(asked), error=repr(error))
                self._fail(asked, "internal", "the machine could not carry it out")

    async def handle(self, asked: Command | Cancel, *, cancelled: bool = False) -> None:
        known = self._keeper.memory.answer_to(asked.id) or self._failed_here.get(asked.id) or self._work.now(asked.id)
        if known is not None:
            self._log("command_repeated", id=asked.id)
            self._reply(known)
            return
        try:
            decided = self._refusal(asked, cancelled)
            if decided is None and isinstance(asked, Command) and asked.name in self._work.names:
                await self._work.accept(asked.id, asked.name, _arguments(asked), self._deadline(asked))
            else:
                await self._do(asked, decided)
        except OSError as error:
            self._log("handler_failed", where=_place(asked), error=str(error))
            self._fail(asked, "disk", "the machine cannot write to its disk")

    async def _do(self, asked: Command | Cancel, decided: CommandUpdate | None) -> None:
        """Carry the command out as one fact: the effect with its answer, or only the answer."""

        def decide(state: MachineState) -> Fact:
            if decided is None and isinstance(asked, Command):
                return self._carry_out(asked, state)
            return Fact(at=time.time(), answered=decided)

        fact = await self._keeper.step(decide)
        if decided is None and isinstance(asked, Command) and asked.name in self._steps and _succeeded(fact):
            self._steps[asked.name].done(_arguments(asked))
        name = asked.name if isinstance(asked, Command) else "cancel"
        if fact.answered is not None:
            self._log("command", name=name, id=asked.id, state=fact.answered.state)
        if fact.state is not None:
            self._log("status_now", status=fact.state.effective_status)

    def _carry_out(self, command: Command, state: MachineState) -> Fact:
        now = Moment(utc_now(), self._now())
        try:
            if command.name in self._steps:
                fact, result = self._steps[command.name].decide(state, _arguments(command), now)
            else:
                following, result = self._handlers[command.name](state, _arguments(command), now)
                fact = Fact(at=time.time(), state=None if following is state else following)
        except RefusedError as refused:
            failure = refused.failure
            return Fact(at=time.time(), answered=_refused(command, failure.code, failure.message))
        fact.answered = CommandUpdate(id=command.id, state="succeeded", result=result)
        return fact

    def _refusal(self, asked: Command | Cancel, withdrawn: bool) -> CommandUpdate | None:
        if isinstance(asked, Cancel):
            return _refused(asked, "cancelled", "it was cancelled before it began")
        deadline = parse_time(asked.expires_at)
        if deadline is None:
            return _refused(asked, "invalid", "expires_at: not an RFC 3339 time")
        if self._now() >= deadline:
            return _refused(asked, "expired", "it came after its deadline")
        if withdrawn:
            return _refused(asked, "cancelled", "it was cancelled before it began")
        if asked.name not in ARGUMENTS or asked.name not in self.capabilities:
            return _refused(asked, "unsupported", "this machine does not know this command")
        try:
            _arguments(asked)
        except msgspec.ValidationError as wrong:
            return _refused(asked, "invalid", str(wrong)[:500])
        if asked.name in self._work.names and self._work.full:
            return _refused(asked, "busy", "too many commands at once")
        return None

    def _now(self) -> datetime:
        return self._clock.now(time.monotonic(), datetime.now(timezone.utc))

    def _deadline(self, command: Command) -> float:
        expires = parse_time(command.expires_at) or self._now()
        return time.monotonic() + (expires - self._now()).total_seconds()

    def _fail(self, command: Command | Cancel, code: str, message: str) -> None:
        """Answer `failed` without the journal, which could not be written; the answer is known until the process
        ends."""
        update = CommandUpdate(id=command.id, state="failed", error=Failure(code=code, message=message))
        self._failed_here[command.id] = update
        while len(self._failed_here) > MAX_WAITING:
            del self._failed_here[next(iter(self._failed_here))]
        self._reply(update)


def _arguments(command: Command) -> Any:
    return msgspec.convert(command.args, ARGUMENTS[command.name])


def _succeeded(fact: Fact) -> bool:
    return fact.answered is not None and fact.answered.state == "succeeded"


def _place(asked: Command | Cancel) -> str:
    name = asked.name if isinstance(asked, Command) else "cancel"
    return f"command {name} ({asked.id})"


def _refused(asked: Command | Cancel, code: str, message: str) -> CommandUpdate:
    return CommandUpdate(id=asked.id, state="rejected", error=Failure(code=code, message=message))
