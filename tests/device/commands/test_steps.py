"""What `ping` answers."""

from __future__ import annotations

from datetime import datetime, timezone

from device.commands import steps
from device.link.rules import Moment
from device.status.rules import MachineState
from protocol.commands import Ping

NOW = Moment("2026-11-23T10:00:00.000Z", datetime(2026, 11, 23, 10, tzinfo=timezone.utc))


def test_the_result_is_the_machines_time_and_nothing_changes() -> None:
    state = MachineState(status="full")
    assert steps.ping(state, Ping(), NOW) == (state, {"time": NOW.machine})
