"""Ends remote sessions whose time, link or holder's rights are gone; serialises requests. Time is monotonic."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

import anyio

from db.engine.store import Store
from db.errors import Conflict
from db.queries import users
from db.records import MachineRow, RemoteSessionRow, SessionRow, is_open
from hub.commands.rules import still_may
from hub.kernel.announce import Announcer
from hub.links.session import MessageContext
from hub.model import actors
from hub.model.changes import Change, Drop, moved_rows, put_rows
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.people.rules import edited_user, ended_session, moves_reach
from hub.remote.rules import life, requests
from protocol import messages as m

logger = logging.getLogger("myrvm.remote_sessions")

RIGHTS_S: Final = 2.0
"""Between look-ups of rights: lost ones end a session within 5 s."""


class RemoteSessions:
    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        announce: Announcer,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._announce = announce
        self._clock = clock
        self._monotonic = monotonic
        self._timing = SessionClock(clock, monotonic)
        self._rights_at = 0.0
        self._signed_out: set[int] = set()  # Bound: people, until the next turn
        self.lock = anyio.Lock()  # Held from the count of open sessions to the commit of one more

    def find(self, session_id: int) -> RemoteSessionRow | None:
        return life.find(self._fleet.machines.values(), session_id)

    async def end(self, session_id: int, reason: str, *, by: actors.Actor = actors.CLOCK) -> None:
        session = self.find(session_id)
        if session is not None:
            machine = self._fleet.machines[session.rvm_id]
            await self._announce_once(requests.stop(machine, session, reason, by, self._clock()))

    async def intruder(self, session_id: int, user_id: int) -> None:
        """Another user showed a secret of the holder's."""
        session = self.find(session_id)
        if session is not None:
            machine, now = self._fleet.machines[session.rvm_id], self._clock()
            stop = requests.stop_there(machine, session.id, "intruder", actors.CLOCK, now)
            await self._announce_once([*life.intruder(session, user_id, now), *stop])

    def on_commit(self, changes: Sequence[Change]) -> None:
        self._timing.on_commit(changes)
        for change in changes:
            user_id = edited_user(change)
            if user_id is not None and isinstance(change, Drop) and change.of is SessionRow:
                self._signed_out |= {user_id} if ended_session(change) is None else set()
            elif user_id is not None or moves_reach(change) or (isinstance(change, Drop) and change.of is MachineRow):
                self._rights_at = 0.0

    async def keep(self) -> None:
        """Raises StoreError; what was due stays so."""
        open_ids = {number for machine in self._fleet.machines.values() for number in machine.remote_sessions}
        self._timing.keep_only(open_ids)
        if not open_ids:
            self._signed_out.clear()
            return
        signed_out = set(self._signed_out)
        for machine in list(self._fleet.machines.values()):
            for session in life.open_of(machine) if machine.remote_sessions else ():
                await self._look(machine, session)
        self._signed_out -= signed_out  # people who signed out meanwhile: in the next turn
        await self._look_up_rights()

    async def after_start(self) -> None:
        """End every open session: their times were not kept."""
        now = self._clock()
        for machine in self._fleet.machines.values():
            for session in life.open_of(machine):
                await self._announce_once(requests.stop(machine, session, "hub_restarted", actors.SYSTEM, now))

    async def _look(self, machine: Machine, session: RemoteSessionRow) -> None:
        now = self._clock()
        if self._timing.over(session):
            changes = life.time_ended(session, now)
            stop = requests.stop(machine, session, "timed_out", actors.CLOCK, now)
            await self._announce_once(changes if session.status == "requested" else stop)
        elif session.admin_id in self._signed_out:
            await self.end(session.id, "revoked")
        elif life.lost(machine, session, self._monotonic()):
            await self.end(session.id, "link_lost")
        elif life.never_began(machine, session) and self._timing.settled(session):
            await self.end(session.id, "start_failed")

    async def _look_up_rights(self) -> None:
        now = self._monotonic()
        if now - self._rights_at < RIGHTS_S:
            return
        self._rights_at = now
        held: dict[int, list[RemoteSessionRow]] = {}
        for machine in self._fleet.machines.values():
            for session in machine.remote_sessions.values():
                if session.admin_id is not None:
                    held.setdefault(session.admin_id, []).append(session)
        for user_id, sessions in held.items():
            user = await users.find_user(self._store, user_id)
            for session in sessions:
                if not still_may(user, session.rvm_id):
                    await self.end(session.id, "revoked")

    async def _announce_once(self, changes: Sequence[Change]) -> None:
        try:
            if changes:
                await self._announce(*changes)
        except Conflict as conflict:
            logger.info("ended otherwise meanwhile: %s", conflict)


BEGIN_S: Final = 10.0  # Between a session's row and its command: two commits. Longer: the second never came.


class SessionClock:
    def __init__(self, clock: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._ends: dict[int, tuple[datetime, float]] = {}  # Bound: the open sessions
        self._opened: dict[int, float] = {}  # Bound: the open sessions

    def on_commit(self, changes: Sequence[Change]) -> None:
        for session in (*put_rows(changes, RemoteSessionRow), *moved_rows(changes, RemoteSessionRow)):
            if is_open(session):
                self._note(session)
            else:
                self._ends.pop(session.id, None)
                self._opened.pop(session.id, None)

    def keep_only(self, open_ids: AbstractSet[int]) -> None:
        """Sessions that went with their machine have no Change."""
        for known in (self._ends, self._opened):
            for session_id in known.keys() - open_ids:
                del known[session_id]

    def over(self, session: RemoteSessionRow) -> bool:
        return self._monotonic() >= self._note(session)

    def settled(self, session: RemoteSessionRow) -> bool:
        self._note(session)
        return session.command_id is not None or self._monotonic() - self._opened[session.id] > BEGIN_S

    def _note(self, session: RemoteSessionRow) -> float:
        """Its monotonic end; counted from now where unknown or moved."""
        known = self._ends.get(session.id)
        ends_at = life.ends_at(session)
        if known is None or known[0] != ends_at:
            left = (ends_at - self._clock()).total_seconds()
            known = self._ends[session.id] = (ends_at, self._monotonic() + left)
        self._opened.setdefault(session.id, self._monotonic())
        return known[1]


async def remote_access(context: MessageContext, report: m.RemoteAccessReport) -> None:
    ref = f"session-{report.session_id}"
    if report.state == "ended":
        changes = life.reported_end(context.machine, report.session_id, report.reason, context.clock())
        if await context.commit(changes, ref):
            context.link.send(m.Received(ref=ref))
