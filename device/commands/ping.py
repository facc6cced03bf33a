"""`ping`: the machine says that it is there and what time it has."""

from __future__ import annotations

from device.link.rules import Moment
from device.status.rules import MachineState
from protocol.commands import Ping


def ping(state: MachineState, _args: Ping, now: Moment) -> tuple[MachineState, dict[str, object]]:
    """The same state, and the machine's clock as the result."""
    return state, {"time": now.machine}
