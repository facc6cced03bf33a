"""What `set_status` answers."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from device.commands import steps
from device.link.rules import Moment
from device.status.rules import MachineState, RefusedError
from protocol.commands import SetStatus

NOW = Moment("2026-11-23T10:00:00.000Z", datetime(2026, 11, 23, 10, tzinfo=timezone.utc))


def test_the_result_names_what_the_machine_is_now() -> None:
    wanted = SetStatus(status="active", special_status="maintenance", until="2026-12-01T00:00:00Z")
    state, result = steps.set_status(MachineState(), wanted, NOW)
    assert result == {"status": "active", "effective_status": "maintenance"}
    assert state.until == "2026-12-01T00:00:00Z"


@pytest.mark.parametrize(
    ("until", "code"), [("soon", "invalid"), ("2026-11-23T09:59:59Z", "expired"), ("2026-11-23T10:00:00Z", "expired")]
)
def test_a_time_that_has_passed_or_is_none_is_refused(until: str, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        steps.set_status(MachineState(), SetStatus(status="full", until=until), NOW)
    assert refused.value.failure.code == code
