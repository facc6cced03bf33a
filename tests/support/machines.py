"""Machines and messages for tests of the hub's core: only what a test cares about has to be said."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from db.records import BootRow, MachineRow, StatusRow
from hub.model.changes import Change, Observed, Patch, Put
from hub.model.machine import Machine
from protocol import messages as m

NOW = datetime(2026, 11, 23, 9, 0, 0, tzinfo=timezone.utc)


def machine(rvm_id: int = 7, **members: Any) -> Machine:
    values: dict[str, Any] = {
        "device_id": f"orin-{rvm_id}",
        "name": f"RVM {rvm_id}",
        "api_key": "0" * 64,
        "api_key_prefix": f"rvmk_{rvm_id:08d}",
        "status_since": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    values = {"status_by": "system", **values, **members}
    observed = {name: values.pop(name) for name in members if name not in MachineRow.__struct_fields__}
    return Machine(MachineRow(id=rvm_id, **values), **observed)


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


def declared(
    *,
    rvm_id: int,
    status: str,
    since: datetime,
    by: str,
    special_status: str | None = None,
    capacity: int = 0,
    reason: str | None = None,
    until: datetime | None = None,
    before: dict[str, Any] | None = None,
) -> list[Change]:
    """A declaration, past the rules that would keep what did not change."""
    values = {
        "status": status, "special_status": special_status, "capacity": capacity, "status_since": since,
        "status_by": by, "status_reason": reason, "status_until": until, "status_before": before, "updated_at": since,
    }  # fmt: skip
    history = StatusRow(
        rvm_id=rvm_id, status=status, special_status=special_status, capacity=capacity, since=since, by=by,
        reason=reason, until=until,
    )  # fmt: skip
    return [Patch(MachineRow, rvm_id, values, must="id"), Put(history)]


def facts_of_hello(
    *, rvm_id: int, at: datetime, epoch: int, boot_id: str, ip: str | None = None, busy: bool = False, **members: Any
) -> list[Change]:
    """The facts of a hello."""
    values = {"connection_epoch": epoch, "boot_id": boot_id, "last_ip": ip, "last_seen_at": at, "close_reason": None,
              "updated_at": at, **members}  # fmt: skip
    return [
        Patch(MachineRow, rvm_id, values, where=(("connection_epoch", "<=", epoch),), must="connection_epoch"),
        Put(BootRow(rvm_id=rvm_id, boot_id=boot_id, last_used_at=at), over=("last_used_at",)),
        Observed(rvm_id, {"busy": busy}),
    ]
