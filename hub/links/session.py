"""Handles one machine's messages in order: samples go to their lane at once, all that is durable to one worker. The
reader never waits for the database; `received` follows the commit. Knows no socket."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import anyio
from anyio.abc import TaskGroup

from db.engine.store import Store
from db.errors import Conflict, Rejected
from hub.kernel.announce import Announcer
from hub.kernel.retry import RetryUntilAvailable
from hub.links import rules
from hub.links.link import MachineLink
from hub.links.links import Links
from hub.model import presence
from hub.model.budgets import FRAME, ROW_BYTES, UPDATE_LINES, Cost, line
from hub.model.changes import Change, SampleSeen
from hub.model.machine import Boot, Machine
from protocol import messages as m
from protocol.errors import RemoteProtocolError
from protocol.kinds import TERMINAL_UPDATES

logger = logging.getLogger("myrvm.link")

INBOX: Final = 256  # Durable messages of one machine waiting for the database; when full the reader waits: backpressure
EARLY: Final = 64  # Metrics frames that arrive before the machine's new boot is stored
INTERNAL_ERROR: Final = 1011

Outcome = Literal["committed", "decided", "refused"]


@dataclass(frozen=True, slots=True)
class MessageContext:
    link: MachineLink
    machine: Machine
    boot: Boot
    links: Links
    announce: Announcer
    store: Store
    clock: Callable[[], datetime]

    @property
    def zone(self) -> str:
        """The zone in which naive timestamps are read while the machine's own is unknown."""
        return self.machine.effective_settings.default_zone

    @property
    def retry(self) -> RetryUntilAvailable:
        return self.links.retry

    async def commit(self, changes: Sequence[Change], ref: int | str | None = None) -> bool:
        """Commit, waiting for the database as long as it is away. True also when something else was decided before;
        False: it can never be stored."""
        return await self.attempt(changes, ref) != "refused"

    async def attempt(self, changes: Sequence[Change], ref: int | str | None = None) -> Outcome:
        """Like `commit`, with the outcome: `decided` where something else was decided before."""
        try:
            if changes:
                await self.retry(lambda: self.announce(*changes))
        except Conflict as conflict:
            logger.info("machine %d: already decided: %s", self.machine.id, conflict)
            return "decided"
        except Rejected as rejected:
            logger.warning("machine %d: the database refuses what it sent: %s", self.machine.id, rejected)
            self.link.send(m.Error(code="invalid", message="this cannot be stored", ref=ref))
            return "refused"
        return "committed"


Handler = Callable[[MessageContext, Any], Awaitable[None]]


class MessageHandlers(NamedTuple):
    """The handler of each type of message, and what runs after a `hello` was stored."""

    by_type: Mapping[type, Handler]
    after_hello: Callable[[MessageContext], Awaitable[None]]


_LINES: Final[dict[type, float]] = {m.CommandUpdate: UPDATE_LINES, m.Event: 0.0}
"""Lines of the audit log, if not one. Events are counted by `hub.model.budgets`."""


class LinkSession:
    def __init__(
        self,
        link: MachineLink,
        machine: Machine,
        hello: m.Hello,
        *,
        links: Links,
        announce: Announcer,
        store: Store,
        handlers: MessageHandlers,
        tasks: TaskGroup,
        clock: Callable[[], datetime],
    ) -> None:
        self._link = link
        self._machine = machine
        self._boot = machine.boots.get(hello.boot_id) or Boot(hello.boot_id)
        self._links = links
        self._handlers = handlers
        self._announce = announce
        self._lane = announce.lane
        self._tasks = tasks
        self._clock = clock
        self._context = MessageContext(link, machine, self._boot, links, announce, store, clock)
        now = time.monotonic()
        self._slow_until = now + links.budget.debt(machine.id, now)
        self._inbox: deque[tuple[m.MachineMessage, Cost]] = deque([(hello, line(0))])  # Bound: INBOX; the reader waits
        self._early: list[m.Metrics] = []  # Bound: EARLY; the reader waits
        self._moved = anyio.Event()
        self._working = True
        tasks.start_soon(self._work)

    # --- reading: nothing here waits --------------------------------------------------------------------------------

    def receive(self, text: str) -> bool:
        """Handle one frame, or queue it. False: call `wait` before reading the next one."""
        link = self._link
        self._links.frames += 1
        if link.closing:
            return True
        at = time.monotonic()
        try:
            message, faults = link.session.receive(text)
        except RemoteProtocolError as error:
            self._spend(FRAME, at)
            self._refuse(error)
            return self._may_go_on(at)
        machine = self._machine
        machine.seen_at = now = self._clock()
        if presence.received(machine, at):
            self._links.observer.look(machine)
        if type(message) is m.Metrics:
            if faults:
                self._report_faults(message, list(faults))
            stored = self._metrics(message, now)
            self._spend(Cost(1.0, len(message.samples), 0.0, 0.0, 0.0, ROW_BYTES * stored), at)
        else:
            self._spend(FRAME, at)
            self._queue(message, len(text))
        return self._may_go_on(at)

    async def wait(self) -> None:
        """Slow down a machine that sends too much, or more than can be stored."""
        if (slow := self._slow_until - time.monotonic()) > 0:
            await anyio.sleep(slow)
        await self._link.room()
        while not self._lane.has_room(self._link) and not self._link.closing:
            await self._lane.room()
        while (len(self._inbox) >= INBOX or len(self._early) >= EARLY) and not self._link.closing:
            self._moved = anyio.Event()
            await self._moved.wait()

    def _may_go_on(self, at: float) -> bool:
        return (
            self._slow_until <= at
            and len(self._inbox) < INBOX
            and len(self._early) < EARLY
            and self._lane.has_room(self._link)
            and not self._link.is_crowded
        )

    def _metrics(self, frame: m.Metrics, now: datetime) -> int:
        """Take a metrics frame, or hold it until the boot is stored; returns how many of its samples went to the
        lane."""
        if not frame.live and (self._boot.id is None or self._early):
            # Also when the boot has just got its row: what came before it has to be handled first, or this frame would
            # raise the mark above samples that nobody stored.
            self._early.append(frame)
            return 0
        return self._take(frame, now)

    def _take(self, frame: m.Metrics, now: datetime) -> int:
        """Put the frame's samples into the lane and publish the newest; returns how many went to the lane."""
        boot, machine = self._boot, self._machine
        if frame.live:
            taken = rules.take_live(machine, frame, now, self._context.zone)
        else:
            try:
                taken = rules.take_kept(machine, boot, frame, now, self._context.zone)
            except RemoteProtocolError as error:
                self._refuse(error, frame.seq)
                return 0
            if frame.seq > boot.accepted:
                boot.accepted = frame.seq
            self._lane.put(taken.rows, self._link, frame.seq)
        if taken.faults:
            self._report_faults(frame, taken.faults)
        if taken.newest is not None:
            self._see(frame, taken.newest, taken.newest_at, now)
        return len(taken.rows)

    def _see(self, frame: m.Metrics, newest: m.Sample, taken_at: datetime, now: datetime) -> None:
        """Publish the readings, unless the known ones are newer."""
        boot_id, machine = self._boot.boot_id, self._machine
        at = rules.newest_at(machine, boot_id, frame.seq, taken_at, now, live=frame.live)
        if at is not None:
            self._announce.publish_readings(
                SampleSeen(
                    rvm_id=machine.id, sample=newest, taken_at=at, received_at=now, boot_id=boot_id, seq=frame.seq
                )
            )  # fmt: skip

    def _spend(self, cost: Cost, at: float) -> None:
        """Charge the budget; in debt the link is read slower."""
        wait = self._links.budget.spend(self._machine.id, at, cost)
        if wait:
            self._slow_until = max(self._slow_until, at + wait)

    def _queue(self, message: Any, size: int) -> None:
        if type(message) is m.Bye:
            self._link.bye_reason = message.reason
            if self._links.is_current(self._link):
                self._links.observer.unlinked(self._machine, message.reason)
        elif type(message) is m.Error:
            logger.warning("machine %d: says it is wrong: %s: %s", self._machine.id, message.code, message.message)
        elif type(message) in self._handlers.by_type:
            if type(message) is m.CommandUpdate and message.state in TERMINAL_UPDATES:
                self._link.answered.add(message.id)
            self._inbox.append((message, line(size, _LINES.get(type(message), 1.0))))
            if not self._working:
                self._working = True
                self._tasks.start_soon(self._work)
        else:
            self._refuse(RemoteProtocolError("unsupported", "this hub does not handle it yet"), m.type_of(message))

    def _refuse(self, error: RemoteProtocolError, ref: int | str | None = None) -> None:
        self._links.tally["refused"] += 1
        refuse(self._link, error, ref)

    def _report_faults(self, frame: m.Metrics, faults: list[RemoteProtocolError]) -> None:
        self._links.tally["left_out"] += len(faults)
        self._link.send(m.Error(code="invalid", message=rules.in_one_sentence(faults)[:1000], ref=frame.seq))

    # --- the worker -------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Handle queued messages until none is left. A boundary for bugs."""
        try:
            while self._inbox and self._links.is_current(self._link):
                message, cost = self._inbox[0]
                while wait := self._links.budget.take(self._machine.id, time.monotonic(), cost):  # noqa: ASYNC110 - it sleeps as long as the budget asks
                    await anyio.sleep(wait)
                if not self._links.is_current(self._link):
                    return
                await self._handlers.by_type[type(message)](self._context, message)
                if type(message) is m.Hello:
                    # As stored, unless it was refused; then the frames that came before it, in order.
                    self._boot = self._machine.boots.get(message.boot_id, self._boot)
                    early, self._early = self._early, []
                    for frame in early:
                        stored = self._take(frame, self._clock())
                        self._spend(Cost(stored_bytes=ROW_BYTES * stored), time.monotonic())
                    await self._handlers.after_hello(self._context)
                self._inbox.popleft()
                if type(message) is m.CommandUpdate and message.state in TERMINAL_UPDATES:
                    self._link.answered.discard(message.id)
                self._moved.set()
                await self._link.room()
        except Exception:
            logger.exception("machine %d: a message could not be handled", self._machine.id)
            self._link.close(INTERNAL_ERROR, "internal error")
        finally:
            self._working = False


def refuse(link: MachineLink, error: RemoteProtocolError, ref: int | str | None = None) -> None:
    """Send an `error` message, and close where the error has a code for it."""
    text = f"{error.field}: {error.detail}" if error.field else error.detail
    link.send(m.Error(code=error.code, message=text[:1000], ref=ref))
    if error.close is not None:
        link.close(error.close, error.code)
