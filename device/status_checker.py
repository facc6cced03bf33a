"""The machine's status for the software on the machine: what it is, and saying that it changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from device.core.machine_state import KEEP, Kept, MachineState, declared, given_back, now_busy, report
from device.core.memory import Fact
from device.return_session import ReturnSession
from device.rfc3339 import utc_now
from device.state_keeper import StateKeeper


class RVMStatusChecker:
    """`wall` yields Unix seconds."""

    def __init__(self, keeper: StateKeeper, session: ReturnSession, wall: Callable[[], float] = time.time) -> None:
        self._keeper = keeper
        self._session = session
        self._wall = wall

    def check_status(self) -> MachineState:
        """What the machine is, as last declared by itself or set by a command."""
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
        """Declare what the machine is now; the hub hears of it, after a reconnect if need be. What is not given stays
        (None ends a special status, a reason or an `until`); a reason stays as long as what it explains.

        Raises IllegalStatusError for a status that does not exist or may not be now, OSError when it cannot be
        remembered.
        """
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
        """A return session begins (say it again before `return_session_max` seconds are over) or ends. Raises OSError
        when it cannot be remembered."""
        self._session.declare(busy)
        await self.note_session(self._session.is_open())

    async def note_session(self, is_open: bool) -> None:
        """Tell the hub when a return session has begun or ended. Raises OSError."""
        if is_open != self._keeper.state.busy:
            await self._step(lambda state: state if state.busy == is_open else now_busy(state, is_open))

    async def give_back(self, until: str) -> None:
        """The time has come until which the present status was to hold. Raises OSError."""
        await self._step(lambda state: given_back(state, utc_now()) if state.until == until else state)

    async def _step(self, follow: Callable[[MachineState], MachineState]) -> MachineState:
        def decide(state: MachineState) -> Fact:
            following = follow(state)
            if following is state:
                return Fact(at=self._wall())
            return Fact(at=self._wall(), state=following, reported=report(following))

        return (await self._keeper.step(decide)).state or self._keeper.state
