"""Keeps the live links, one per machine (the newest); delivers commands and live intervals to them.

Also counts events beyond a machine's budget, and issues tickets of sessions: good once, within a minute, kept as
hashes in memory."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import anyio

from db.errors import StoreError
from db.records import CommandRow, MachineRow
from hub.commands import rules as command_rules
from hub.kernel.announce import Announcer
from hub.kernel.observer import Observer, PendingEvents
from hub.kernel.retry import RetryUntilAvailable
from hub.links import rules
from hub.links.key_conflicts import KeyConflicts
from hub.links.link import MachineLink
from hub.machines.rules import same_board
from hub.model import actors
from hub.model.budgets import MachineBudget, ReportedEvents
from hub.model.changes import Change, Drop, EventHappened, Move, Patch, Put
from hub.model.fleet import TERMINAL, Fleet
from hub.model.machine import Machine, has_left
from hub.model.presence import Watching
from hub.remote.rules.life import START
from protocol import messages
from protocol.errors import BOARD_WAITS, CloseCode
from protocol.stream_limits import TICKET_S
from protocol.transitions import State

MAX_TICKETS: Final = 10_000  # Outstanding at once; beyond it the oldest is void. A full fleet needs two a machine.


class SessionTicket(NamedTuple):
    session_id: int
    rvm_id: int
    purpose: str
    until: float


class Tickets:
    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._outstanding: dict[bytes, SessionTicket] = {}  # Bound: MAX_TICKETS, the oldest goes

    def issue(self, session_id: int, rvm_id: int, purpose: str = "tunnel") -> str:
        """A new ticket; earlier ones of the same session and purpose are void."""
        now = self._monotonic()
        self._keep(lambda t: t.until > now and (t.session_id, t.purpose) != (session_id, purpose))
        if len(self._outstanding) >= MAX_TICKETS:
            del self._outstanding[next(iter(self._outstanding))]
        text = secrets.token_urlsafe(32)
        self._outstanding[digest(text)] = SessionTicket(session_id, rvm_id, purpose, now + TICKET_S)
        return text

    def redeem(self, text: str, rvm_id: int, purpose: str = "tunnel") -> SessionTicket | None:
        """The ticket, which is spent whatever comes of it; None: unknown, expired, or of another machine or purpose.
        Found by its hash, so that timing shows nothing."""
        ticket = self._outstanding.pop(digest(text), None)
        if ticket is None or ticket.until <= self._monotonic():
            return None
        return ticket if (ticket.rvm_id, ticket.purpose) == (rvm_id, purpose) else None

    def awaited(self, session_id: int, purpose: str = "tunnel") -> bool:
        now = self._monotonic()
        return any(
            ticket.until > now
            for ticket in self._outstanding.values()
            if (ticket.session_id, ticket.purpose) == (session_id, purpose)
        )

    def void(self, session_id: int) -> None:
        self._keep(lambda ticket: ticket.session_id != session_id)

    def _keep(self, good: Callable[[SessionTicket], bool]) -> None:
        self._outstanding = {digest: ticket for digest, ticket in self._outstanding.items() if good(ticket)}


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


logger = logging.getLogger("myrvm.links")

MIN_SPREAD_S = 20.0  # Many machines reconnect over at least this long (reliability.md, bar 7)
MANY = 20
KEY_MEMBERS: Final = frozenset({"api_key", "next_api_key"})


class Links:
    def __init__(
        self,
        fleet: Fleet,
        announce: Announcer,
        observer: Observer,
        clock: Callable[[], datetime],
        budget: MachineBudget | None = None,
    ) -> None:
        self._fleet = fleet
        self._announce = announce
        self.observer = observer
        self._clock = clock
        self.key_conflicts = KeyConflicts(fleet, announce, clock)
        self.dropped_events = DroppedEvents()
        self.budget = budget or MachineBudget()
        self.retry = RetryUntilAvailable("what machines report")
        self.tickets = Tickets()
        self._links: dict[int, MachineLink] = {}  # Bound: one a machine
        self._open: set[MachineLink] = set()  # Bound: open sockets, of which the machine's newest lives on
        self._waiters: dict[str, list[asyncio.Future[CommandRow]]] = {}  # Bound: one a request that waits
        self.restarting = False
        self.takeovers = 0
        self.frames = 0
        """That came from machines since the start."""
        self.tally: Counter[str] = Counter()  # Bound: three names
        """Answered with an error: `refused`, `left_out` (readings and samples), `foreign` (commands)."""

    def __len__(self) -> int:
        return len(self._links)

    def all(self) -> list[MachineLink]:
        return list(self._links.values())

    def get(self, rvm_id: int) -> MachineLink | None:
        return self._links.get(rvm_id)

    def opened(self, link: MachineLink) -> None:
        self._open.add(link)

    def ended(self, link: MachineLink) -> None:
        self._open.discard(link)

    def register(self, link: MachineLink) -> MachineLink | None:
        older = self._links.get(link.rvm_id)
        self._links[link.rvm_id] = link
        self._announce.lane.links = len(self._links)
        if older is not None:
            self.takeovers += 1
            older.replaced_by = link.address
            if link.machine is not None:
                self.key_conflicts.replaced(link.machine)
            older.close(CloseCode.REPLACED, "replaced by a newer connection", at_once=True)
        return older

    async def hold_copy(self, older: MachineLink) -> bool:
        """Decide about a link `older` that was alive when a newer one took over. True: the newer one is of another
        board, a copy of the key, which waits for a decision from now on. False: it may be the same machine twice."""
        newer, machine = self._links.get(older.rvm_id), older.machine
        if newer is None or machine is None or not older.board or not newer.board:
            return False
        if same_board(older.board, newer.board):
            return False
        try:
            await self._announce(*rules.cloned(machine, older.board, newer.board, self._clock()))
        except StoreError as error:
            logger.warning("machine %d: two boards use its key, which cannot be recorded: %s", machine.id, error)
            return False
        newer.close(CloseCode.REVOKED, BOARD_WAITS, at_once=True)
        return True

    def close_board(self, rvm_id: int, board: Mapping[str, object], reason: str) -> None:
        """Close the machine's link if it is of this board, or does not name its board."""
        link = self._links.get(rvm_id)
        if link is not None and (link.board is None or same_board(link.board, board)):
            link.close(CloseCode.REVOKED, reason, at_once=True)

    def is_current(self, link: MachineLink) -> bool:
        return self._links.get(link.rvm_id) is link

    def unregister(self, link: MachineLink) -> bool:
        if self._links.get(link.rvm_id) is not link:
            return False
        del self._links[link.rvm_id]
        self._announce.lane.links = len(self._links)
        return True

    def deliver_waiting(self, link: MachineLink) -> None:
        """Send the open commands of a machine that has just been linked; those never sent before wait for
        `rights_checked`."""
        machine = link.machine
        if machine is not None:
            waiting = (c for c in machine.pending.values() if not has_left(machine, c))
            link.unchecked = {c.id for c in waiting if actors.user_of(c.issued_by) is not None}
            self.deliver(machine.id)

    def rights_checked(self, link: MachineLink, command_ids: Iterable[str]) -> None:
        """Send those of these commands that waited: whoever issued them still may."""
        link.unchecked.difference_update(command_ids)
        self.deliver(link.rvm_id)

    def deliver(self, rvm_id: int) -> None:
        """Send the commands that this link has not had; of a cancelled one only the cancel."""
        link, machine = self._links.get(rvm_id), self._fleet.machines.get(rvm_id)
        if link is None or machine is None or link.closing or link.session.state is not State.LIVE:
            return
        now = self._clock()
        for command in command_rules.to_deliver(machine, now):
            if command.id in link.delivered or command.id in link.unchecked:
                continue
            link.delivered.add(command.id)
            if command.cancel_at is not None:
                self._stop(link, command.id)
            else:
                link.send(self._wire_command(command))
                self.show_progress(machine, command_rules.sent(command, now))

    def _wire_command(self, command: CommandRow) -> messages.Command:
        """The command as a message. The tunnel's ticket is made here and stored nowhere."""
        message = command_rules.wire(command)
        if command.name == START and not command.args.get("site"):
            ticket = self.tickets.issue(command.args["session_id"], command.rvm_id)
            message.args = {**command.args, "ticket": ticket}
        return message

    def show_progress(self, machine: Machine, changes: Sequence[Change]) -> None:
        """Publish at once, and write behind unless the command has moved by then."""
        for change in changes:
            if isinstance(change, Move):
                self._announce.write_behind(change, partial(_is_newest, machine, change))

    def ask_for_interval(self, rvm_id: int, interval: float) -> None:
        link = self._links.get(rvm_id)
        if link is not None and link.session.state is State.LIVE:
            link.send(messages.Live(interval=interval))
            if link.machine is not None:
                self.observer.expect(link.machine, interval)

    def offer_authority(self, offer: Callable[[Mapping[str, Any] | None], str | None]) -> None:
        """Send new certificates to live machines; `offer` returns what a machine that reported this `hardware`
        lacks."""
        for link in self.all():
            live = link.machine is not None and link.session.state is State.LIVE
            certificates = offer(link.machine.row.hardware) if live and link.machine is not None else None
            if certificates is not None:
                link.send(messages.Authority(certificates=certificates))

    def close(self, rvm_id: int, code: int, reason: str = "") -> None:
        link = self._links.get(rvm_id)
        if link is not None:
            link.close(code, reason, at_once=True)

    async def wait_for(self, command_id: str, timeout: float) -> CommandRow | None:
        """Wait until the command has ended, `timeout` seconds at most. None: it is not open (read the database)."""
        command = self._fleet.open.get(command_id)
        if command is None:
            return None
        waiter: asyncio.Future[CommandRow] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(command_id, []).append(waiter)
        try:
            with anyio.move_on_after(timeout):
                return await waiter
            return self._fleet.open.get(command_id, command)
        finally:
            self._drop_waiter(command_id, waiter)

    def on_commit(self, changes: Sequence[Change]) -> None:
        """Deliver drafted commands, wake waiters, close links that may not go on."""
        for change in changes:
            if change.about is CommandRow:
                self._command_changed(change)
            elif change.about is MachineRow:
                self._machine_changed(change)

    def _command_changed(self, change: Change) -> None:
        if isinstance(change, Put):
            self.deliver(change.row.rvm_id)
        elif isinstance(change, Move):
            self._settled(change.row)
        elif isinstance(change, Patch):
            self._stop_asked(change.key)

    def _machine_changed(self, change: Change) -> None:
        if isinstance(change, Drop):
            self.close(change.key, CloseCode.REVOKED, "the machine was removed")
        elif isinstance(change, Patch):
            if not KEY_MEMBERS.isdisjoint(change.values):
                self._close_other_key(change.key)
            if change.values.get("quarantined_until") is not None:
                self.close(change.key, CloseCode.REPLACED, "quarantined")
            if "quarantined_until" in change.values:
                self._look_again(change.key)
        self.key_conflicts.on_commit([change])

    def _close_other_key(self, rvm_id: int) -> None:
        link, machine = self._links.get(rvm_id), self._fleet.machines.get(rvm_id)
        row = None if machine is None else machine.row
        if link is not None and row is not None and link.key_hash not in (row.api_key, row.next_api_key):
            link.close(CloseCode.REVOKED, "the key was replaced", at_once=True)

    def send_restarting(self, spread: float) -> int:
        """Asks all to reconnect within `spread` s (at least 20 for many), then closes with 1012. Returns how many."""
        self.restarting = True
        links = self.all()
        count = len(links)
        width = max(spread, MIN_SPREAD_S) if count >= MANY else max(spread, 1.0)
        for place, link in enumerate(links):
            least = width * place / max(count, 1)
            most = max(width * (place + 1) / max(count, 1), least + 1.0)
            link.send(messages.Restarting(reconnect_in=(round(least, 2), round(most, 2))))
            link.close(CloseCode.HUB_RESTARTING, "restarting")
        return count

    def abort_stuck(self, now: float, limit: float) -> None:
        for link in list(self._open):
            if link.sending_since and now - link.sending_since > limit:
                logger.warning("machine %d: stopped reading, link torn down", link.rvm_id)
                link.abort()

    def _look_again(self, rvm_id: int) -> None:
        machine = self._fleet.machines.get(rvm_id)
        if machine is not None:
            self.observer.look(machine)

    def _settled(self, command: CommandRow) -> None:
        if command.state in TERMINAL:
            self._end_delivery(command)
            for waiter in self._waiters.pop(command.id, []):
                if not waiter.done():
                    waiter.set_result(command)

    def _end_delivery(self, command: CommandRow) -> None:
        link = self._links.get(command.rvm_id)
        if link is not None and command.id in link.delivered:
            link.delivered.discard(command.id)
            # Ended here as never sent, and sent in that very moment: the machine may still be able to stop.
            if command.state == "cancelled":
                self._stop(link, command.id)
            link.stopped.discard(command.id)

    def _stop_asked(self, command_id: str) -> None:
        command = self._fleet.open.get(command_id)
        link = None if command is None else self._links.get(command.rvm_id)
        if link is not None and command_id in link.delivered:
            self._stop(link, command_id)
        elif command is not None:
            self.deliver(command.rvm_id)

    def _stop(self, link: MachineLink, command_id: str) -> None:
        if command_id not in link.stopped and link.session.state is State.LIVE:
            link.stopped.add(command_id)
            link.send(messages.Cancel(id=command_id))

    def _drop_waiter(self, command_id: str, waiter: asyncio.Future[CommandRow]) -> None:
        waiters = self._waiters.get(command_id)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[command_id]


def _is_newest(machine: Machine, change: Move[CommandRow]) -> bool:
    here = machine.pending.get(change.row.id)
    return here is not None and all(getattr(here, name) == getattr(change.row, name) for name in change.members)


TICK_S: Final = 1.0  # Watches that ran out end within this


def ask_for_live_samples(watching: Watching, fleet: Fleet, links: Links) -> None:
    """Ask every machine whose wanted interval changed; without a link it is in the next welcome."""
    for rvm_id, interval in watching.settle(time.monotonic(), fleet.machines).items():
        links.ask_for_interval(rvm_id, interval)


async def end_stale_watches(watching: Watching, fleet: Fleet, links: Links) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        ask_for_live_samples(watching, fleet, links)


class DroppedEvents:
    """Counts events beyond the budget, and records each count after its minute."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reported = ReportedEvents()
        self._monotonic = monotonic
        self._pending = PendingEvents()

    def take(self, rvm_id: int, now: datetime) -> bool:
        """False: counted, not recorded."""
        return self._reported.take(rvm_id, self._monotonic(), now)

    async def record(self, announce: Announcer, now: datetime, more: Iterable[EventHappened] = ()) -> None:
        """Raises StoreError; counts are kept for the next call."""
        self._pending.add([*self._reported.due(self._monotonic(), now), *more])
        await self._pending.record(announce)
