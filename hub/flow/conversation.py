"""What a live machine says, in order: samples to their lane at once, everything durable through one worker.

`hear` never waits, so the reader never waits for the database. The worker commits one message after the other and only
then answers `received`; with the database away it keeps trying. What an older link says after a newer one took over
changes nothing. Knows no socket.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from db import machine_pulse
from db.commands import find_command
from db.connection import Store
from db.errors import Conflict, Rejected, Unavailable
from hub.core import command_desk, intake, presence
from hub.core.changes import Change, SampleSeen
from hub.core.fleet import TERMINAL
from hub.core.machine import Boot, Machine
from hub.flow.announce import Announcer
from hub.flow.link import Link
from hub.flow.links import Links
from protocol import messages as m
from protocol.errors import RemoteProtocolError

logger = logging.getLogger("myrvm.link")

INBOX: Final = 256
"""Durable messages of one machine waiting for the database; when full the reader waits, and TCP slows the machine."""
EARLY: Final = 64
"""Metrics frames that came before the machine's new boot was stored."""
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 3.0
INTERNAL_ERROR: Final = 1011


class Conversation:
    """One machine's side of one link after hello. `machine` and `boot` are those of the hello."""

    def __init__(
        self,
        link: Link,
        machine: Machine,
        hello: m.Hello,
        *,
        links: Links,
        announce: Announcer,
        store: Store,
        tasks: TaskGroup,
        clock: Callable[[], datetime],
        fallback_zone: str,
        frames_per_second: float,
        burst: int,
    ) -> None:
        self._link = link
        self._machine = machine
        self._boot = machine.boots.setdefault(hello.boot_id, Boot(hello.boot_id))
        self._links = links
        self._announce = announce
        self._lane = announce.lane
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._zone = fallback_zone
        self._rate = frames_per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._tokens_at = time.monotonic()
        self._inbox: deque[m.MachineMessage] = deque([hello])
        self._early: list[m.Metrics] = []
        self._moved = anyio.Event()
        self._working = True
        tasks.start_soon(self._work)

    # --- reading: nothing here waits --------------------------------------------------------------------------------

    def hear(self, text: str) -> bool:
        """Take one frame. False: `wait` before the next one."""
        link = self._link
        if link.closing:
            return True
        at = time.monotonic()
        if self._rate:
            self._tokens = min(self._burst, self._tokens + (at - self._tokens_at) * self._rate) - 1.0
            self._tokens_at = at
        try:
            said, faults = link.session.receive(text)
        except RemoteProtocolError as error:
            self._refuse(error)
            return self._may_go_on()
        machine = self._machine
        machine.last_seen_at = now = self._clock()
        if presence.heard(machine, at):
            self._links.observer.look(machine)
        if type(said) is m.Metrics:
            if faults:
                self._left_out(said, list(faults))
            self._metrics(said, now)
        else:
            self._other(said)
        return self._may_go_on()

    async def wait(self) -> None:
        """Until there is room again: this is what slows a machine that sends too much, or more than can be stored."""
        if self._tokens < 0:
            await anyio.sleep(-self._tokens / self._rate)
        await self._link.room()
        while not self._lane.has_room(self._link) and not self._link.closing:
            await self._lane.room()
        while (len(self._inbox) >= INBOX or len(self._early) >= EARLY) and not self._link.closing:
            self._moved = anyio.Event()
            await self._moved.wait()

    def _may_go_on(self) -> bool:
        return (
            self._tokens >= 0
            and len(self._inbox) < INBOX
            and len(self._early) < EARLY
            and self._lane.has_room(self._link)
            and not self._link.crowded
        )

    def _metrics(self, frame: m.Metrics, now: datetime) -> None:
        boot, machine = self._boot, self._machine
        if frame.live:
            taken = intake.take_live(machine, frame, now, self._zone)
        elif boot.id is None or self._early:
            # Also when the boot has just got its row: what came before it has to be handled first, or this frame would
            # raise the mark above samples that nobody stored.
            self._early.append(frame)
            return
        else:
            try:
                taken = intake.take_kept(machine, boot, frame, now, self._zone)
            except RemoteProtocolError as error:
                self._refuse(error, frame.seq)
                return
            if frame.seq > boot.accepted:
                boot.accepted = frame.seq
            self._lane.put(taken.rows, self._link, frame.seq)
        if taken.faults:
            self._left_out(frame, taken.faults)
        newest, at = taken.newest, machine.readings_at
        # A spool that is being drained must not turn the page back; a clock that was ahead must not freeze it.
        if newest is not None and (frame.live or at is None or taken.newest_at >= at or at > now):
            self._announce.see(SampleSeen(rvm_id=machine.id, sample=newest, taken_at=taken.newest_at, received_at=now))

    def _other(self, said: Any) -> None:
        if type(said) is m.Bye:
            self._link.farewell = said.reason
            if self._links.speaks(self._link):
                self._links.observer.unlinked(self._machine, said.reason)
        elif type(said) is m.Error:
            logger.warning("machine %d: says it is wrong: %r: %r", self._machine.id, said.code, said.message)
        elif type(said) in _HANDLERS:
            self._inbox.append(said)
            if not self._working:
                self._working = True
                self._tasks.start_soon(self._work)
        else:
            self._refuse(RemoteProtocolError("unsupported", "this hub does not handle it yet"), m.type_of(said))

    def _refuse(self, error: RemoteProtocolError, ref: int | str | None = None) -> None:
        self._links.tally["refused"] += 1
        refuse(self._link, error, ref)

    def _left_out(self, frame: m.Metrics, faults: list[RemoteProtocolError]) -> None:
        self._links.tally["left_out"] += len(faults)
        self._link.say(m.Error(code="invalid", message=intake.in_one_sentence(faults)[:1000], ref=frame.seq))

    # --- the worker -------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Handle what is in the inbox, in order; ends when it is empty. One of the three boundaries for bugs."""
        try:
            while self._inbox and self._links.speaks(self._link):
                said = self._inbox[0]
                await _HANDLERS[type(said)](self, said)
                self._inbox.popleft()
                self._moved.set()
                await self._link.room()
        except Exception:
            logger.exception("machine %d: a message could not be handled", self._machine.id)
            self._link.close(INTERNAL_ERROR, "internal error")
        finally:
            self._working = False

    async def _introduce(self, hello: m.Hello) -> None:
        link, machine = self._link, self._machine
        now = self._clock()
        await self._commit(intake.introduce(machine, hello, link.epoch, link.address, now, self._zone))
        early, self._early = self._early, []
        for frame in early:
            self._metrics(frame, self._clock())

    async def _status(self, report: m.StatusReport) -> None:
        machine, boot_id = self._machine, self._boot.boot_id
        if machine.reported is None or machine.reported[0] != boot_id:
            last = await self._patiently(lambda: machine_pulse.last_status_seq(self._store, machine.id, boot_id))
            machine.reported = (boot_id, -1 if last is None else last)
        if report.seq > machine.reported[1]:
            if not await self._commit(intake.report_status(machine, boot_id, report, self._clock()), report.seq):
                return
            machine.reported = (boot_id, report.seq)
        self._link.say(m.Received(ref=report.seq))

    async def _event(self, report: m.Event) -> None:
        changes = intake.report_event(self._machine, self._boot.boot_id, report, self._clock(), self._zone)
        if await self._commit(changes, report.seq):
            self._link.say(m.Received(ref=report.seq))

    async def _update(self, update: m.CommandUpdate) -> None:
        machine = self._machine
        changes = command_desk.moved(machine, update, self._clock())
        if changes and update.state not in TERMINAL:
            self._links.tell_soon(machine, changes)
        elif changes:
            if await self._commit(changes, update.id):
                self._link.say(m.Received(ref=update.id))
        elif update.id not in machine.pending:
            await self._unexpected(update)

    async def _unexpected(self, update: m.CommandUpdate) -> None:
        """The command is not open: it has ended before (a repeat), or it is not this machine's at all."""
        row = await self._patiently(lambda: find_command(self._store, update.id))
        if row is None or row.rvm_id != self._machine.id:
            self._links.tally["foreign"] += 1
            logger.warning("machine %d: settles a command that is not its own: %r", self._machine.id, update.id)
            self._link.say(m.Error(code="unknown_command", message="no such command of this machine", ref=update.id))
        elif update.state in TERMINAL:
            self._link.say(m.Received(ref=update.id))

    async def _commit(self, changes: Sequence[Change], ref: int | str | None = None) -> bool:
        """Until it is committed, or was decided otherwise before (True); False when no retry can store it."""
        try:
            if changes:
                await self._patiently(lambda: self._announce(*changes))
        except Conflict as conflict:
            logger.info("machine %d: already decided: %s", self._machine.id, conflict)
        except Rejected as rejected:
            logger.warning("machine %d: the database refuses what it said: %s", self._machine.id, rejected)
            self._link.say(m.Error(code="invalid", message="this cannot be stored", ref=ref))
            return False
        return True

    async def _patiently(self, ask: Callable[[], Any]) -> Any:
        """The answer, as soon as the database is there to give it."""
        pause = RETRY_FIRST_S
        while True:
            try:
                return await ask()
            except Unavailable:  # noqa: PERF203 - waiting is the point
                await anyio.sleep(pause)
                pause = min(2 * pause, RETRY_MOST_S)


_HANDLERS: Final[dict[type, Callable[[Conversation, Any], Any]]] = {
    m.Hello: Conversation._introduce,  # noqa: SLF001 - the table of this class, which cannot stand inside it
    m.StatusReport: Conversation._status,  # noqa: SLF001
    m.Event: Conversation._event,  # noqa: SLF001
    m.CommandUpdate: Conversation._update,  # noqa: SLF001
}


def refuse(link: Link, error: RemoteProtocolError, ref: int | str | None = None) -> None:
    """Name what is wrong in an `error` message, and close when the error says so."""
    text = f"{error.field}: {error.detail}" if error.field else error.detail
    link.say(m.Error(code=error.code, message=text[:1000], ref=ref))
    if error.close is not None:
        link.close(error.close, error.code)
