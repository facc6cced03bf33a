"""What `ping` answers."""

from __future__ import annotations

from device.commands import ping
from device.core.machine_state import MachineState
from protocol.commands import Ping


def test_the_result_is_the_machines_time_and_nothing_changes() -> None:
    state = MachineState(status="full")
    assert ping.run(state, Ping(), "t1") == (state, {"time": "t1"})
