"""Queries on `reverse_vending_machines` and on the settings of machines and fleet. Knows nothing of links, decides no
value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.connection import Store
from db.records import CONFIG_VERSION, FLEET, FleetSettingsRow, MachineRow, MachineSettingsRow, record
from db.schema import counters, fleet_config, machine_configs
from db.schema import reverse_vending_machines as machines
from db.statements import Write

_INSERT = sa.insert(machines).returning(machines.c.id)
_ALL = sa.select(machines).order_by(machines.c.id)
_MACHINE_SETTINGS = sa.select(machine_configs).order_by(machine_configs.c.rvm_id)
_FLEET_SETTINGS = sa.select(fleet_config).where(fleet_config.c.id == FLEET)
_NEWEST_SETTINGS = sa.select(counters.c.value).where(counters.c.name == CONFIG_VERSION)
_BY_ID = sa.select(machines).where(machines.c.id == sa.bindparam("key_id"))
_UPDATE = sa.update(machines).where(machines.c.id == sa.bindparam("key_id"))
# A newer link (or another hub's) has the say; the same epoch again is a repeat and changes nothing.
_UPDATE_FENCED = _UPDATE.where(machines.c.connection_epoch <= sa.bindparam("key_epoch"))
_DELETE = sa.delete(machines).where(machines.c.id == sa.bindparam("key_id"))


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


def insert_machine(
    *,
    device_id: str,
    name: str,
    location_description: str | None,
    api_key_hash: str,
    api_key_prefix: str,
    simulated: bool,
    at: datetime,
    by: str,
) -> Write:
    """Returns its `id`. Conflict: device_id, name, api_key, api_key_prefix."""
    values = {
        "device_id": device_id,
        "name": name,
        "location_description": location_description,
        "api_key": api_key_hash,
        "api_key_prefix": api_key_prefix,
        "simulated": simulated,
        "status_since": at,
        "status_by": by,
        "created_at": at,
        "updated_at": at,
    }
    return Write(_INSERT, values)


def update_machine(rvm_id: int, values: Mapping[str, Any], at: datetime) -> Write:
    """Change the columns `values` names. Conflict: id (no such machine), device_id, name, api_key_prefix."""
    return Write(_UPDATE, {**values, "updated_at": at, "key_id": rvm_id}, must_match="id")


def set_status(
    rvm_id: int,
    *,
    status: str,
    special_status: str | None,
    capacity: int,
    since: datetime,
    by: str,
    reason: str | None,
    until: datetime | None,
    before: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> Write:
    """Replace the whole declaration, declared `at` (`since` when left out). Conflict: id (no such machine)."""
    values = {
        "status": status,
        "special_status": special_status,
        "capacity": capacity,
        "status_since": since,
        "status_by": by,
        "status_reason": reason,
        "status_until": until,
        "status_before": before,
        "updated_at": at or since,
        "key_id": rvm_id,
    }
    return Write(_UPDATE, values, must_match="id")


def introduce(
    rvm_id: int,
    *,
    epoch: int,
    at: datetime,
    agent_version: str,
    boot_id: str,
    capabilities: list[str] | tuple[str, ...],
    hardware: Mapping[str, Any] | None,
    timezone: str | None,
    config_version: int,
    clock_offset_s: float | None,
    ip: str | None,
    simulated: bool,
    ntp: bool | None = None,
) -> Write:
    """Keep what a hello told (an untold time zone stays). Conflict: connection_epoch (a newer link has the say)."""
    values: dict[str, Any] = {
        "connection_epoch": epoch,
        "agent_version": agent_version,
        "boot_id": boot_id,
        "capabilities": list(capabilities),
        "hardware": hardware,
        "config_version": config_version,
        "clock_offset_s": clock_offset_s,
        "ntp": ntp,
        "last_ip": ip,
        "simulated": simulated,
        "last_seen_at": at,
        "farewell": None,
        "updated_at": at,
        "key_id": rvm_id,
        "key_epoch": epoch,
    }
    if timezone is not None:
        values["timezone"] = timezone
    return Write(_UPDATE_FENCED, values, must_match="connection_epoch")


def end_link(rvm_id: int, *, epoch: int, at: datetime, farewell: str | None) -> Write:
    """Note that the link of this epoch is gone; nothing changes (rowcount 0) when a newer one is there."""
    values = {"last_seen_at": at, "farewell": farewell, "key_id": rvm_id, "key_epoch": epoch}
    return Write(_UPDATE_FENCED, values)


def config_applied(
    rvm_id: int, version: int, errors: Mapping[str, str] | None, at: datetime, own: Mapping[str, Any] | None = None
) -> Write:
    """Which configuration the machine runs, what of it it could not take, and what its own file sets. Conflict: id (no
    such machine)."""
    values = {"config_version": version, "config_errors": errors, "config_own": own, "config_applied_at": at}
    return Write(_UPDATE, {**values, "updated_at": at, "key_id": rvm_id}, must_match="id")


def zone_synced(rvm_id: int, timezone: str, *, clock_offset_s: float | None, ntp: bool | None, at: datetime) -> Write:
    """The zone its clock shows; what was not told of that clock stays. Conflict: id (no such machine)."""
    told = {"clock_offset_s": clock_offset_s, "ntp": ntp}
    values = {name: value for name, value in told.items() if value is not None}
    return Write(_UPDATE, {"timezone": timezone, **values, "updated_at": at, "key_id": rvm_id}, must_match="id")


def mark_seen(rvm_id: int, at: datetime) -> Write:
    """Remember when the machine was last heard, so that a restarted hub knows."""
    return Write(_UPDATE, {"last_seen_at": at, "key_id": rvm_id})


def delete_machine(rvm_id: int) -> Write:
    """Itself with all that hangs on it, but for its samples (`db.samples`: there may be too many for one transaction)
    and its events, which stay. Conflict: id (no such machine)."""
    return Write(_DELETE, {"key_id": rvm_id}, must_match="id")
