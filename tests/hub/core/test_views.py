"""The JSON everybody reads: complete, without secrets, its times in one form."""

from __future__ import annotations

import pytest

from hub.core.changes import EventHappened
from hub.core.views import command_view, event_view, machine_delta, machine_view, session_view
from tests.hub.core.test_command_desk import command
from tests.hub.core.test_remote_life import session
from tests.support.machines import NOW, machine, sample


@pytest.mark.parametrize("times", ["iso", "ms"])
def test_the_view_has_no_secret_and_its_times_one_form(times: str) -> None:
    one = machine(last_seen_at=NOW, api_key_hash="hash-of-key")
    one.readings, one.readings_at = sample(cpu_usage=1.5, reasons={"gpu_usage": "none"}), NOW
    view = machine_view(one, times=times)  # type: ignore[arg-type]
    assert "hash-of-key" not in str(view)
    expected = "2026-11-23T09:00:00.000Z" if times == "iso" else 1795424400000
    assert view["created_at"] == view["last_seen_at"] == view["readings"]["taken_at"] == expected
    assert view["readings"]["cpu_usage"] == 1.5
    assert view["readings"]["gpu_usage"] is None
    assert view["readings"]["reasons"] == {"gpu_usage": "none"}
    assert machine_delta(one, {"status"}) == {"id": 7, "status": "active"}


def test_a_session_a_command_and_an_event_are_shown_with_their_times_as_asked() -> None:
    shown = session_view(session(ports=(5000,)), 2, device_id="orin-7")
    assert (shown["start_time"], shown["ports"], shown["end_time"]) == ("2026-11-23T09:00:00.000Z", [5000], None)
    assert (shown["recordings"], shown["device_id"]) == (2, "orin-7")
    assert command_view(command())["issued_at"] == "2026-11-23T09:00:00.000Z"
    assert command_view(command(), times="ms")["sent_at"] is None
    event = EventHappened(at=NOW, code="ping", actor="clock", id=3)
    assert (event_view(event)["at"], event_view(event, times="ms")["at"]) == (
        "2026-11-23T09:00:00.000Z", int(NOW.timestamp() * 1000),
    )  # fmt: skip
