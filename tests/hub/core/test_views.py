"""The JSON everybody reads: complete, without secrets, its times in one form."""

from __future__ import annotations

import pytest

from hub.core.views import machine_delta, machine_view
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
