"""Changes the machine's status: for its software, other programs, after a return session or an `until`. Looks at
files every quarter of a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import msgspec

from device.journal.keeper import StateKeeper
from device.journal.rules import Fact
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.link.rules import HubClock, parse_time
from device.status.return_session import ReturnSession
from device.status.rules import KEEP, IllegalStatusError, Kept, MachineState, declared, given_back, now_busy, report
from device.status_mailbox import StatusMailbox, StatusRequest
from device.system.clock import utc_now


class RVMStatusChecker:
    """`wall` yields Unix seconds."""

    def __init__(self, keeper: StateKeeper, session: ReturnSession, wall: Callable[[], float] = time.time) -> None:
        self._keeper = keeper
        self._session = session
        self._wall = wall

    def check_status(self) -> MachineState:
        return self._keeper.state

    async def update_status(
        self,
        status: str | None = None,
        *,
        capacity: int | None = None,
        special_status: str | Kept | None = KEEP,
        reason: str | Kept | None = KEEP,
        until: str | Kept | None = KEEP,
    ) -> MachineState:
        """Declare a status; reported to the hub, after a reconnect if need be. What is not given stays (None ends a
        special status, a reason or an `until`); a reason stays as long as its status.

        Raises IllegalStatusError, OSError when it cannot be recorded."""
        return await self._step(
            lambda state: declared(
                state,
                utc_now(),
                status=status,
                capacity=capacity,
                special_status=special_status,
                reason=reason,
                until=until,
            )
        )

    async def set_busy(self, busy: bool) -> None:
        """Begin (repeated within `return_session_max` seconds) or end a return session. Raises OSError."""
        self._session.declare(busy)
        await self.note_session(self._session.is_open())

    async def note_session(self, is_open: bool) -> None:
        """Raises OSError."""
        if is_open != self._keeper.state.busy:
            await self._step(lambda state: state if state.busy == is_open else now_busy(state, is_open))

    async def give_back(self, until: str) -> None:
        """Raises OSError."""
        await self._step(lambda state: given_back(state, utc_now()) if state.until == until else state)

    async def _step(self, follow: Callable[[MachineState], MachineState]) -> MachineState:
        def decide(state: MachineState) -> Fact:
            following = follow(state)
            if following is state:
                return Fact(at=self._wall())
            return Fact(at=self._wall(), state=following, reported=report(following))

        return (await self._keeper.step(decide)).state or self._keeper.state


POLL_S: Final = 0.25


class StatusWatch:
    def __init__(
        self,
        checker: RVMStatusChecker,
        mailbox: StatusMailbox,
        session: ReturnSession,
        clock: HubClock,
        disk: WorkerThread,
        log: Log,
    ) -> None:
        self._checker = checker
        self._mailbox = mailbox
        self._session = session
        self._clock = clock
        self._disk = disk
        self._log = log

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Raises OSError; the next turn retries."""
        requests, is_open = await self._disk.call(self._read)
        for path, request in requests:
            await self._take(path, request)
        await self._checker.note_session(is_open)
        await self._give_back()

    def _read(self) -> tuple[list[tuple[Path, StatusRequest]], bool]:
        return list(self._mailbox.waiting()), self._session.is_open()

    async def _take(self, path: Path, request: StatusRequest) -> None:
        try:
            state = await self._checker.update_status(**msgspec.structs.asdict(request))
        except IllegalStatusError as refused:
            self._log("status_refused", why=refused)
        else:
            self._log("status_now", status=state.effective_status)
        await self._disk.call(self._mailbox.done, path)

    async def _give_back(self) -> None:
        until = self._checker.check_status().until
        if until is None:
            return
        moment = parse_time(until)
        # One that cannot be read ends at once: nothing may hold for ever that was to hold for a while.
        if moment is None or self._clock.now(time.monotonic(), datetime.now(timezone.utc)) >= moment:
            await self._checker.give_back(until)
            self._log("status_now", status=self._checker.check_status().effective_status)
