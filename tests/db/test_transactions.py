"""A write is one transaction: all of it or nothing, and one caller's failure is only that caller's."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from db import events, machines, users
from db.connection import Store
from db.errors import Conflict, Rejected, StoreError
from db.schema import events as events_table
from db.schema import reverse_vending_machines
from db.statements import Write

NOW = datetime(2026, 11, 23, 10, 20, 30, 123456, tzinfo=timezone.utc)


def machine(name: str) -> Write:
    return machines.insert_machine(
        device_id=f"device-{name}", name=name, location_description=None, api_key_hash=f"hash-{name}",
        api_key_prefix=f"p-{name}", simulated=False, at=NOW, by="system",
    )  # fmt: skip


async def names(store: Store) -> list[str]:
    return [row.name for row in await machines.all_machines(store)]


async def test_a_machine_comes_back_as_it_was_written(store: Store) -> None:
    (result,) = await store.write(machine("north"))
    (row,) = await machines.all_machines(store)
    assert row.id == result.rows[0]["id"]
    assert (row.name, row.status, row.capacity, row.simulated) == ("north", "active", 0, False)
    assert row.created_at == NOW
    assert row.created_at.tzinfo == timezone.utc
