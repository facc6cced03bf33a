"""Queries on `reverse_vending_machines` and on the settings of machines and fleet. Knows nothing of links, decides no
value."""

from __future__ import annotations

import sqlalchemy as sa

from db.connection import Store
from db.records import CONFIG_VERSION, FLEET, FleetSettingsRow, MachineRow, MachineSettingsRow, record
from db.schema import counters, fleet_config, machine_configs
from db.schema import reverse_vending_machines as machines

_ALL = sa.select(machines).order_by(machines.c.id)
_MACHINE_SETTINGS = sa.select(machine_configs).order_by(machine_configs.c.rvm_id)
_FLEET_SETTINGS = sa.select(fleet_config).where(fleet_config.c.id == FLEET)
_NEWEST_SETTINGS = sa.select(counters.c.value).where(counters.c.name == CONFIG_VERSION)
_BY_ID = sa.select(machines).where(machines.c.id == sa.bindparam("key_id"))
_UPDATE = sa.update(machines).where(machines.c.id == sa.bindparam("key_id"))


async def all_machines(store: Store) -> list[MachineRow]:
    """Every machine, by id."""
    return [record(MachineRow, row) for row in await store.fetch_all(_ALL)]


async def find_machine(store: Store, rvm_id: int) -> MachineRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": rvm_id})
    return None if row is None else record(MachineRow, row)


async def fleet_settings(store: Store) -> FleetSettingsRow | None:
    row = await store.fetch_one(_FLEET_SETTINGS)
    return None if row is None else FleetSettingsRow(**row)


async def machine_settings(store: Store) -> dict[int, MachineSettingsRow]:
    """By machine; only those that have something of their own, or once had."""
    return {row["rvm_id"]: MachineSettingsRow(**row) for row in await store.fetch_all(_MACHINE_SETTINGS)}


async def newest_settings(store: Store) -> int:
    """The largest version any settings ever had; 0 before the first write."""
    row = await store.fetch_one(_NEWEST_SETTINGS)
    return 0 if row is None else int(row["value"])
