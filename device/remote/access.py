"""Begins and ends this machine's remote sessions, and keeps them to their time.

The journal has which are open; this has their clocks and work. An end is journaled with the status that returns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from device.journal.keeper import StateKeeper
from device.journal.rules import Fact
from device.kernel.log import Log
from device.kernel.tasks import Tasks, wait_at_most
from device.remote.rules.sessions import (
    JournaledSession,
    RemoteRules,
    begun,
    ended_report,
    extended,
    over,
    why_interrupted,
)
from device.settings import AgentSettings
from device.status.rules import MachineState, RefusedError, report
from device.system.clock import utc_now
from protocol.commands import StartRemoteAccess
from protocol.messages import Failure

GRACE_S: Final = 60.0
"""Without a control link sessions end after so long."""
AGAIN_S: Final = 1.0


@dataclass
class RunningSession:
    """On our monotonic clock. `ending`: why, once it is to end."""

    session: JournaledSession
    since: float
    deadline: float
    ending: str = ""


Work = Callable[[RunningSession, str], Awaitable[str]]
"""`work(session, ticket)` is cancelled at the session's end; returns the reason of its own end."""


class RemoteAccessServer:
    """`boot`: this run of the machine."""

    def __init__(
        self,
        settings: AgentSettings,
        keeper: StateKeeper,
        boot: str,
        log: Log,
        work: Work,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules_of(settings)
        self._keeper = keeper
        self._boot = boot
        self._log = log
        self._work = work
        self._monotonic = monotonic
        # Bound: the open sessions.
        self._running: dict[int, RunningSession] = {}
        self._tasks = Tasks()
        # Bound: the open sessions.
        self._working: dict[int, Callable[[], None]] = {}
        self._lost_at: float | None = None
        self._news = asyncio.Event()

    @property
    def open_sessions(self) -> Mapping[int, JournaledSession]:
        return self._keeper.memory.sessions

    @property
    def running(self) -> list[RunningSession]:
        return list(self._running.values())

    def configure(self, settings: AgentSettings) -> None:
        """Switched off, it ends what is open."""
        self._rules = rules_of(settings)
        if not self._rules.enabled:
            for session_id in list(self._running):
                self._must_end(session_id, "revoked")

    async def open(self) -> None:
        if not self.open_sessions:
            return
        reasons = {one.id: why_interrupted(one, self._boot) for one in self.open_sessions.values()}
        await self._keeper.step(lambda state: self.ended_fact(state, reasons, utc_now()))
        for session_id, reason in reasons.items():
            self._log("session_ended", id=session_id, why=reason)

    async def start_remote_access(self, asked: StartRemoteAccess) -> JournaledSession:
        """Raises RefusedError, and OSError when it cannot be recorded."""
        await self._keeper.step(lambda state: self.started_fact(state, asked, utc_now()))
        self.was_started(asked.session_id, asked.ticket)
        return self._running[asked.session_id].session

    async def stop_remote_access(self, session_id: int, reason: str = "stopped") -> None:
        """The previous status returns. Raises OSError when the end cannot be recorded; it is retried."""
        self._must_end(session_id, reason)
        await self._end(session_id, reason)

    def link_is_up(self) -> None:
        self._lost_at = None
        self._news.set()

    def link_is_lost(self) -> None:
        self._lost_at = self._monotonic() if self._lost_at is None else self._lost_at
        self._news.set()

    # --- the facts, and what follows when they are on disk ----------------------------------------------------------

    def started_fact(self, state: MachineState, asked: StartRemoteAccess, now: str) -> Fact:
        following, session = begun(state, self.open_sessions, asked, self._rules, self._boot, now)
        return _with_state(Fact(at=time.time(), session=session), state, following)

    def extended_fact(self, session_id: int, duration: float) -> Fact:
        running = self._running.get(session_id)
        if running is None or running.ending:
            raise RefusedError(Failure(code="not_open", message="this session is not open on this machine"))
        since_s = self._monotonic() - running.since
        return Fact(at=time.time(), session=extended(running.session, since_s, duration, self._rules))

    def ended_fact(self, state: MachineState, reasons: Mapping[int, str], now: str) -> Fact:
        ending = {one: why for one, why in reasons.items() if one in self.open_sessions}
        reports = tuple(ended_report(one, why, now) for one, why in ending.items())
        following = over(state, self.open_sessions, ending)
        return _with_state(Fact(at=time.time(), ended=reports), state, following)

    def was_started(self, session_id: int, ticket: str) -> None:
        session = self.open_sessions.get(session_id)
        if session is None:
            return
        now = self._monotonic()
        running = RunningSession(session, now, now + session.duration)
        self._running[session_id] = running
        self._log("session_began", id=session_id, admin=session.admin, address=session.admin_ip, why=session.reason)
        self._working[session_id] = self._tasks.start(self._serve(running, ticket))
        self._news.set()

    def was_extended(self, session_id: int) -> None:
        running, session = self._running.get(session_id), self.open_sessions.get(session_id)
        if running is not None and session is not None:
            running.session, running.deadline = session, running.since + session.duration
            self._log("session_extended", id=session_id, seconds=f"{running.deadline - self._monotonic():.0f}")
        self._news.set()

    def was_ended(self, session_id: int, reason: str) -> None:
        if self._running.pop(session_id, None) is not None:
            self._log("session_ended", id=session_id, why=reason)
        stop = self._working.pop(session_id, None)
        if stop is not None:
            stop()
        self._news.set()

    # --- the clocks -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            while True:
                self._news.clear()
                await self._end_what_is_due()
                await wait_at_most(self._news, self._wait_s())
        finally:
            await self._tasks.end()

    async def _end_what_is_due(self) -> None:
        now = self._monotonic()
        lost = self._lost_at is not None and now - self._lost_at >= GRACE_S
        for session_id, running in list(self._running.items()):
            reason = running.ending or ("timed_out" if now >= running.deadline else "link_lost" if lost else "")
            if reason:
                try:
                    await self._end(session_id, reason)
                except OSError as error:
                    self._log("handler_failed", where=f"session {session_id}", error=str(error))

    async def _end(self, session_id: int, reason: str) -> None:
        await self._keeper.step(lambda state: self.ended_fact(state, {session_id: reason}, utc_now()))
        self.was_ended(session_id, reason)

    def _must_end(self, session_id: int, reason: str) -> None:
        """Whether or not the disk takes the end."""
        running = self._running.get(session_id)
        if running is not None and not running.ending:
            running.ending = reason
            stop = self._working.pop(session_id, None)
            if stop is not None:
                stop()
            self._news.set()

    def _wait_s(self) -> float:
        if not self._running:
            return float("inf")
        now = self._monotonic()
        if any(running.ending or running.deadline <= now for running in self._running.values()):
            return AGAIN_S
        due = min(running.deadline for running in self._running.values())
        if self._lost_at is not None:
            due = min(due, self._lost_at + GRACE_S)
        return max(due - now, 0.01)

    async def _serve(self, running: RunningSession, ticket: str) -> None:
        """An error ends that session only."""
        try:
            reason = await self._work(running, ticket)
        except Exception as error:  # noqa: BLE001 - the named boundary: a session
            self._log("handler_failed", where=f"session {running.session.id}", error=repr(error))
            reason = "start_failed"
        running.ending = running.ending or reason
        self._news.set()


def rules_of(settings: AgentSettings) -> RemoteRules:
    return RemoteRules(
        enabled=settings.switch("remote_access_enabled"),
        networks=tuple(settings.names("admin_ips")),
        longest_s=settings.number("session_timeout"),
        most=int(settings.number("max_concurrent_sessions")),
        ports=frozenset(map(int, settings.names("remote_access_ports"))),
    )


def _with_state(fact: Fact, state: MachineState, following: MachineState) -> Fact:
    if following is not state:
        fact.state, fact.reported = following, report(following)
    return fact
