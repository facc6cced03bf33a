"""Rows for database tests: plausible, and short to write."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from db.backup_records import BackupRow
from db.engine.row_writes import insert
from db.engine.statements import Write
from db.engine.store import Store
from db.records import BootRow, MachineRow, RecordingRow, record
from db.rows import SampleRow

NOW = datetime(2026, 11, 23, 10, 20, 30, 123457, tzinfo=timezone.utc)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def machine(name: str, /, **changes: Any) -> Write:
    values: dict[str, Any] = {
        "device_id": f"device-{name}",
        "name": name,
        "location_description": None,
        "api_key": f"hash-{name}",
        "api_key_prefix": f"prefix-{name}",
        "status_since": NOW,
        "status_by": "system",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return insert(MachineRow(**{**values, **changes}))


async def add_machine(store: Store, name: str = "north") -> int:
    """Its id."""
    (result,) = await store.write(machine(name))
    return int(result.rows[0]["id"])


def sample(rvm_id: int, seq: int, boot: int = 1, at: datetime | None = None, **readings: Any) -> SampleRow:
    """A sample taken `seq` seconds after NOW, or taken and stored at `at`; what `readings` does not name is absent."""
    empty = dict.fromkeys(SampleRow._fields[4:14])
    taken = after(seq) if at is None else at
    return SampleRow(rvm_id, taken, boot, seq, **{**empty, **readings}, clamped=False, created_at=at or NOW)


async def open_boot(store: Store, rvm_id: int, boot_id: str, at: datetime) -> BootRow:
    """A boot of a machine, in a transaction of its own."""
    boot = BootRow(rvm_id=rvm_id, boot_id=boot_id, last_used_at=at)
    (result,) = await store.write(insert(boot, over=("last_used_at",)))
    return record(BootRow, result.rows[0])


def recording_row(**members: Any) -> RecordingRow:
    """A recording that has begun."""
    values: dict[str, Any] = {
        "session_id": 5, "rvm_id": 1, "machine_name": "Lobby", "user_id": 3, "user_name": "Budi", "state": "recording",
        "ip_address": "10.0.0.1", "reason": "camera", "started_at": NOW, "input_recorded": False, "cols": 80,
        "rows": 24,
    }  # fmt: skip
    return RecordingRow(**{**values, **members})


def backup_row(rvm_id: int, number: int, **members: Any) -> BackupRow:
    """A backup that waits for its machine."""
    values: dict[str, Any] = {"backup_type": "full", "created_at": NOW}
    return BackupRow(id=number, rvm_id=rvm_id, **{**values, **members})
