"""What `set_status` answers."""

from __future__ import annotations

from device.commands import set_status
from device.core.machine_state import MachineState
from protocol.commands import SetStatus


def test_the_result_names_what_the_machine_is_now() -> None:
    wanted = SetStatus(status="active", special_status="maintenance", until="2026-12-01T00:00:00Z")
    state, result = set_status.run(MachineState(), wanted, "t1")
    assert result == {"status": "active", "effective_status": "maintenance"}
    assert state.until == "2026-12-01T00:00:00Z"
