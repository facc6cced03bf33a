"""Machines and messages for tests of the hub's core: only what a test cares about has to be said."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from hub.model.machine import Machine
from protocol import messages as m

NOW = datetime(2026, 11, 23, 9, 0, 0, tzinfo=timezone.utc)


def machine(rvm_id: int = 7, **members: Any) -> Machine:
    values: dict[str, Any] = {
        "device_id": f"orin-{rvm_id}",
        "name": f"RVM {rvm_id}",
        "api_key_hash": "0" * 64,
        "api_key_prefix": f"rvmk_{rvm_id:08d}",
        "status_since": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Machine(id=rvm_id, **{**values, **members})


def hello(device_id: str = "orin-7", **members: Any) -> m.Hello:
    values: dict[str, Any] = {
        "protocol": 2,
        "agent_version": "0.1.0",
        "boot_id": "boot-a",
        "capabilities": ["ping", "set_status"],
        "status": "active",
        "config_version": 0,
        "time": "2026-11-23T09:00:00Z",
    }
    return m.Hello(device_id=device_id, **{**values, **members})


def sample(at: str | float = "2026-11-23T09:00:00Z", **readings: Any) -> m.Sample:
    return m.Sample(timestamp=at, **readings)


def metrics(seq: int, count: int = 1, *, live: bool = False, **readings: Any) -> m.Metrics:
    return m.Metrics(seq=seq, samples=[sample(**readings) for _ in range(count)], live=live)
