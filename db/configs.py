"""Queries on `fleet_config` and `machine_configs`: what was written that differs from the defaults.

The version of a write must be larger than that of any before, whoever it is for; `counters` remembers the largest, and
its row makes writers take turns. Decides no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from db.connection import Store
from db.schema import counters, fleet_config, machine_configs
from db.statements import Write, insert_or_ignore

FLEET: Final = 1
"""The one row of `fleet_config`."""
COUNTER: Final = "config_version"

_ALL = sa.select(machine_configs).order_by(machine_configs.c.rvm_id)
_FLEET = sa.select(fleet_config).where(fleet_config.c.id == FLEET)
_NEWEST = sa.select(counters.c.value).where(counters.c.name == COUNTER)
_BEGIN_COUNTING = insert_or_ignore(counters)
_COUNT = sa.update(counters).where(counters.c.name == COUNTER, counters.c.value < sa.bindparam("key_version"))
_INSERT_FLEET = insert_or_ignore(fleet_config, fleet_config.c.id)
_UPDATE_FLEET = sa.update(fleet_config).where(
    fleet_config.c.id == FLEET, fleet_config.c.version == sa.bindparam("key_before")
)
_INSERT_MACHINE = insert_or_ignore(machine_configs, machine_configs.c.rvm_id)
_UPDATE_MACHINE = sa.update(machine_configs).where(
    machine_configs.c.rvm_id == sa.bindparam("key_rvm_id"), machine_configs.c.version == sa.bindparam("key_before")
)


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """What one scope says."""

    values: dict[str, Any]
    version: int
    updated_at: datetime
    updated_by: str


async def fleet_row(store: Store) -> ConfigRow | None:
    row = await store.fetch_one(_FLEET)
    return None if row is None else _row(row)


async def machine_rows(store: Store) -> dict[int, ConfigRow]:
    """By machine; only those that have something of their own, or once had."""
    return {row["rvm_id"]: _row(row) for row in await store.fetch_all(_ALL)}


async def newest_version(store: Store) -> int:
    """The largest version any scope ever had; 0 before the first write."""
    row = await store.fetch_one(_NEWEST)
    return 0 if row is None else int(row["value"])


def write_config(
    rvm_id: int | None,
    *,
    values: Mapping[str, Any],
    version: int,
    version_before: int,
    at: datetime,
    by: str,
) -> tuple[Write, ...]:
    """Replace what a scope says (`rvm_id` None: the fleet). Conflict: version (somebody wrote meanwhile), rvm_id (no
    such machine)."""
    said: dict[str, Any] = {"values": dict(values), "version": version, "updated_at": at, "updated_by": by}
    if version_before == 0 and rvm_id is None:
        scope = Write(_INSERT_FLEET, {"id": FLEET, **said}, must_match="version")
    elif version_before == 0:
        scope = Write(_INSERT_MACHINE, {"rvm_id": rvm_id, **said}, must_match="version")
    elif rvm_id is None:
        scope = Write(_UPDATE_FLEET, {**said, "key_before": version_before}, must_match="version")
    else:
        scope = Write(_UPDATE_MACHINE, {**said, "key_before": version_before, "key_rvm_id": rvm_id}, "version")
    return (
        Write(_BEGIN_COUNTING, {"name": COUNTER, "value": 0}),
        Write(_COUNT, {"value": version, "key_version": version}, must_match="version"),
        scope,
    )


def _row(row: Mapping[str, Any]) -> ConfigRow:
    return ConfigRow(row["values"], row["version"], row["updated_at"], row["updated_by"])
