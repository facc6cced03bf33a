"""The machine's status for the software on the machine: what it is, and saying that it changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from device.core.machine_state import MachineState, declared, report
from device.core.memory import Fact
from device.rfc3339 import utc_now
from device.state_keeper import StateKeeper


class RVMStatusChecker:
    """`wall` yields Unix seconds."""

    def __init__(self, keeper: StateKeeper, wall: Callable[[], float] = time.time) -> None:
        self._keeper = keeper
        self._wall = wall

    def check_status(self) -> MachineState:
        """What the machine is, as last declared by itself or set by a command."""
        return self._keeper.state

    async def update_status(
        self,
        status: str | None = None,
        *,
        capacity: int | None = None,
        special_status: str | None = None,
        reason: str | None = None,
    ) -> MachineState:
        """Declare what the machine is now; the hub hears of it, after a reconnect if need be. What is not given
        stays, except the special status and the reason, which end.

        Raises IllegalStatusError for a status that does not exist, OSError when it cannot be remembered.
        """

        def decide(state: MachineState) -> Fact:
            following = declared(
                state, utc_now(), status=status, capacity=capacity, special_status=special_status, reason=reason
            )
            return Fact(at=self._wall(), state=following, reported=report(following))

        await self._keeper.step(decide)
        return self._keeper.state
