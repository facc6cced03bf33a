"""Queries on `reverse_vending_machines` and on settings; and whether another process changed machines, a cheap query
every second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from db.columns import from_microseconds, to_microseconds
from db.engine.store import Store, reading
from db.records import (
    CONFIG_VERSION,
    FLEET,
    CounterRow,
    FleetSettingsRow,
    MachineRow,
    MachineSettingsRow,
    in_members,
    record,
)
from db.schema import counters, events, fleet_config, machine_configs
from db.schema import reverse_vending_machines as machines

_IDENTITY = (
    machines.c.id, machines.c.device_id, machines.c.name, machines.c.location_description, machines.c.tags,
    machines.c.latitude, machines.c.longitude, machines.c.api_key, machines.c.api_key_prefix,
    machines.c.next_api_key, machines.c.next_api_key_prefix, machines.c.next_api_key_at, machines.c.updated_at,
)  # fmt: skip
_PULSE = sa.select(sa.func.count().label("count"), sa.func.max(machines.c.updated_at).label("newest")).select_from(
    machines
)
_CHANGED = (
    sa.select(*_IDENTITY)
    .where(machines.c.updated_at >= sa.bindparam("since"))
    .order_by(machines.c.updated_at, machines.c.id)
    .limit(sa.bindparam("most"))
)
_IDS = sa.select(machines.c.id)
_LEAST_SEQ = sa.select(sa.func.min(events.c.seq).label("least")).where(
    events.c.rvm_id == sa.bindparam("key_rvm_id"), events.c.boot_id == sa.bindparam("key_boot_id"), events.c.seq < 0
)


@dataclass(frozen=True, slots=True)
class Pulse:
    count: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What people edit. `api_key`: the key's hash."""

    id: int
    device_id: str
    name: str
    location_description: str | None
    tags: tuple[str, ...] | None
    latitude: float | None
    longitude: float | None
    api_key: str | None
    api_key_prefix: str | None
    next_api_key: str | None
    next_api_key_prefix: str | None
    next_api_key_at: datetime | None
    updated_at: datetime


async def pulse(store: Store) -> Pulse:
    row = await store.fetch_one(_PULSE)
    return Pulse(0, None) if row is None else Pulse(int(row["count"]), row["newest"])


async def changed_since(store: Store, since: datetime, limit: int) -> list[Identity]:
    rows = await store.fetch_all(_CHANGED, {"since": since, "most": limit})
    return [Identity(**in_members(MachineRow, row)) for row in rows]


async def all_ids(store: Store) -> set[int]:
    return {row["id"] for row in await store.fetch_all(_IDS)}


async def last_status_seq(store: Store, rvm_id: int, boot_id: str) -> int | None:
    """Of this boot; stored as -1 - seq."""
    row = await store.fetch_one(_LEAST_SEQ, {"key_rvm_id": rvm_id, "key_boot_id": boot_id})
    return None if row is None or row["least"] is None else -1 - int(row["least"])


_ALL = sa.select(machines).order_by(machines.c.id)
_MACHINE_SETTINGS = sa.select(machine_configs).order_by(machine_configs.c.rvm_id)
_FLEET_SETTINGS = sa.select(fleet_config).where(fleet_config.c.id == FLEET)
_NEWEST_SETTINGS = sa.select(counters.c.value).where(counters.c.name == CONFIG_VERSION)
_BY_ID = sa.select(machines).where(machines.c.id == sa.bindparam("key_id"))


async def all_machines(store: Store) -> list[MachineRow]:
    return [record(MachineRow, row) for row in await store.fetch_all(_ALL)]


async def words(url: str) -> list[tuple[str, str]]:
    """Each machine's name and device_id; without a lock and an upgrade. Raises a StoreError."""
    async with reading(url) as pool:
        found = await pool.fetch_all(sa.select(machines.c.name, machines.c.device_id).order_by(machines.c.id), {})
    return [(str(row["name"]), str(row["device_id"])) for row in found]


async def find_machine(store: Store, rvm_id: int) -> MachineRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": rvm_id})
    return None if row is None else record(MachineRow, row)


async def fleet_settings(store: Store) -> FleetSettingsRow | None:
    row = await store.fetch_one(_FLEET_SETTINGS)
    return None if row is None else FleetSettingsRow(**row)


async def machine_settings(store: Store) -> dict[int, MachineSettingsRow]:
    """Those that have, or had, their own; by machine."""
    return {row["rvm_id"]: MachineSettingsRow(**row) for row in await store.fetch_all(_MACHINE_SETTINGS)}


async def newest_settings(store: Store) -> int:
    """0 before the first write."""
    row = await store.fetch_one(_NEWEST_SETTINGS)
    return 0 if row is None else int(row["value"])


_ALIVE: Final = "hub_alive"
_ALIVE_AT: Final = sa.select(counters.c.value).where(counters.c.name == _ALIVE)


async def alive_at(store: Store) -> datetime | None:
    """When a hub of this database last left a sign of life."""
    row = await store.fetch_one(_ALIVE_AT, {})
    return None if row is None else from_microseconds(row["value"])


def life_sign(at: datetime) -> CounterRow:
    return CounterRow(name=_ALIVE, value=to_microseconds(at))
