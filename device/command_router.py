"""Commands, one after the other: seen before? in time? known? legal? then done, journaled with its effect, answered.

A command's effect and its id become one fact on disk, so it happens once or not at all, whatever is killed when.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

import msgspec

from device.commands import ping, set_status
from device.core.hub_clock import HubClock, parse_time
from device.core.machine_state import MachineState
from device.core.memory import Fact
from device.log import Log
from device.rfc3339 import utc_now
from device.state_keeper import StateKeeper
from protocol.commands import ARGUMENTS
from protocol.messages import Command, CommandUpdate, Failure

Handler = Callable[[MachineState, Any, str], tuple[MachineState, dict[str, object]]]
HANDLERS: Final[Mapping[str, Handler]] = {"ping": ping.run, "set_status": set_status.run}
MAX_WAITING: Final = 64
"""Commands taken and not yet done; more are rejected as `busy`, which the hub may repeat."""


class CommandRouter:
    """`reply(update)` says an update on the present link, without any promise to say it again."""

    def __init__(
        self,
        keeper: StateKeeper,
        clock: HubClock,
        log: Log,
        reply: Callable[[CommandUpdate], None],
        handlers: Mapping[str, Handler] = HANDLERS,
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._log = log
        self._reply = reply
        self._handlers = handlers
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(MAX_WAITING)
        self._waiting_ids: set[str] = set()  # a command that waits and is not here was cancelled
        self._failed_here: dict[str, CommandUpdate] = {}

    @property
    def capabilities(self) -> list[str]:
        """The names of the commands this machine understands."""
        return sorted(self._handlers)

    def offer(self, command: Command) -> None:
        """Take a command from the link; never waits."""
        if self._keeper.memory.outbox.full:
            self._reply(_refused(command, "busy", "too many results wait for the hub"))
            return
        try:
            self._waiting.put_nowait(command)
        except asyncio.QueueFull:
            self._reply(_refused(command, "busy", "too many commands at once"))
        else:
            self._waiting_ids.add(command.id)

    def cancel(self, command_id: str) -> None:
        """Do not begin this command if it has not begun."""
        self._waiting_ids.discard(command_id)

    async def run(self) -> None:
        """Do commands for ever, in order. A handler that fails, fails its command and nothing else."""
        while True:
            command = await self._waiting.get()
            cancelled = command.id not in self._waiting_ids
            self._waiting_ids.discard(command.id)
            try:
                await self.handle(command, cancelled=cancelled)
            except Exception as error:  # noqa: BLE001 - the named boundary: command handler
                self._log("handler_failed", where=f"command {command.name} ({command.id})", error=repr(error))
                self._fail(command, "internal", "the machine could not carry it out")

    async def handle(self, command: Command, *, cancelled: bool = False) -> None:
        """Answer one command; raises what its handler raises."""
        known = self._keeper.memory.answer_to(command.id) or self._failed_here.get(command.id)
        if known is not None:
            self._log("command_repeated", id=command.id)
            self._reply(known)
            return

        def decide(state: MachineState) -> Fact:
            following, update = self._decide(command, state, cancelled)
            return Fact(at=time.time(), state=None if following is state else following, answered=update)

        try:
            fact = await self._keeper.step(decide)
        except OSError as error:
            self._log("handler_failed", where=f"command {command.name} ({command.id})", error=str(error))
            self._fail(command, "disk", "the machine cannot write to its disk")
            return
        if fact.answered is not None:
            self._log("command", name=command.name, id=command.id, state=fact.answered.state)
        if fact.state is not None:
            self._log("status_now", status=fact.state.effective_status)

    def _decide(self, command: Command, state: MachineState, cancelled: bool) -> tuple[MachineState, CommandUpdate]:
        handler = self._handlers.get(command.name)
        deadline = parse_time(command.expires_at)
        if deadline is None:
            return state, _refused(command, "invalid", "expires_at: not an RFC 3339 time")
        if self._clock.now(time.monotonic(), datetime.now(timezone.utc)) >= deadline:
            return state, _refused(command, "expired", "it came after its deadline")
        if cancelled:
            return state, _refused(command, "cancelled", "it was cancelled before it began")
        if handler is None or command.name not in ARGUMENTS:
            return state, _refused(command, "unsupported", "this machine does not know this command")
        try:
            arguments = msgspec.convert(command.args, ARGUMENTS[command.name])
        except msgspec.ValidationError as wrong:
            return state, _refused(command, "invalid", str(wrong)[:500])
        following, result = handler(state, arguments, utc_now())
        return following, CommandUpdate(id=command.id, state="succeeded", result=result)

    def _fail(self, command: Command, code: str, message: str) -> None:
        """A failure that could not be journaled: remembered in this life, said once."""
        update = CommandUpdate(id=command.id, state="failed", error=Failure(code=code, message=message))
        self._failed_here[command.id] = update
        while len(self._failed_here) > MAX_WAITING:
            del self._failed_here[next(iter(self._failed_here))]
        self._reply(update)


def _refused(command: Command, code: str, message: str) -> CommandUpdate:
    return CommandUpdate(id=command.id, state="rejected", error=Failure(code=code, message=message))
