"""Merges a machine's settings: default, its own file, the fleet's, its own desired; the later wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from db.records import FleetSettingsRow, MachineSettingsRow
from hub.model.actors import Actor
from protocol import configuration as table
from protocol.configuration import Value
from protocol.messages import Configuration

Values = Mapping[str, Value]

QUIET_S: Final = 365 * 86400.0
"""A machine that does not measure: only its link shows that it is there."""
OTHER: Final = "other"


class DesiredSettings(NamedTuple):
    """Of the fleet, or of one machine; version 0: never written."""

    values: Values
    version: int
    at: datetime | None = None
    by: Actor | None = None


UNWRITTEN: Final = DesiredSettings({}, 0)


def desired_of(row: FleetSettingsRow | MachineSettingsRow) -> DesiredSettings:
    return DesiredSettings(row.values, row.version, row.updated_at, row.updated_by)


def desired_of_patch(values: Mapping[str, Any]) -> DesiredSettings:
    return DesiredSettings(values["values"], values["version"], values["updated_at"], values["updated_by"])


class ReportedSettings(NamedTuple):
    """`above`: stand against what the hub wrote: the environment's, and values that the machine refused."""

    values: Values
    above: frozenset[str] = frozenset()


UNREPORTED: Final = ReportedSettings({})


def reported_settings_of(reported: Values | None, refused: Iterable[str] | None) -> ReportedSettings:
    return ReportedSettings(reported, frozenset(reported) & frozenset(refused or ())) if reported else UNREPORTED


@dataclass(frozen=True)
class Limits:
    temperature: float = 80.0
    cpu_usage: float = 90.0
    memory_usage: float = 90.0
    disk_usage: float = 90.0


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveSettings:
    """`written` alone is sent to the machine. Machines without own settings share one."""

    version: int
    written: Values
    values: Values
    limits: Limits
    metrics_interval: float
    """While nobody watches."""
    upload_interval: float

    def text(self, key: str) -> str:
        return str(self.values[key])

    def on(self, key: str) -> bool:
        return self.values[key] is True

    @property
    def default_zone(self) -> str:
        return self.text("default_timezone")

    @property
    def pinned_zone(self) -> str | None:
        """By an operator; no look-up overrides it."""
        return self.text("pinned_timezone") or None


def effective_of(
    base: Values, fleet: DesiredSettings, own: DesiredSettings = UNWRITTEN, local: ReportedSettings = UNREPORTED
) -> EffectiveSettings:
    """`base`: the hub's defaults of all keys."""
    written = {**fleet.values, **own.values}
    values = {**base, **local.values, **written, **{key: local.values[key] for key in local.above}}
    return EffectiveSettings(
        version=max(fleet.version, own.version),
        written=written,
        values=values,
        limits=Limits(
            temperature=_number(values["temperature_threshold"]),
            cpu_usage=_number(values["cpu_threshold"]),
            memory_usage=_number(values["memory_threshold"]),
        ),
        metrics_interval=_number(values["metrics_interval"]) if values["monitoring_enabled"] else QUIET_S,
        upload_interval=_number(values["upload_interval"]) if values["monitoring_enabled"] else QUIET_S,
    )


def base_of(given: Mapping[str, Any]) -> Values:
    """The product's, overridden by the hub's own (`given`)."""
    known = {key: value for key, value in given.items() if key in table.SETTINGS}
    return table.defaults() | known


@lru_cache(maxsize=1)
def nothing_written() -> EffectiveSettings:
    return effective_of(table.defaults(), UNWRITTEN)


class CommonSettings:
    """What machines have in common; changed only by commits."""

    def __init__(self, base: Values | None = None, written: DesiredSettings = UNWRITTEN, newest: int = 0) -> None:
        self.base: Values = table.defaults() if base is None else base
        self.written = written
        self.newest = max(newest, written.version)
        """Of any scope: the next one is larger."""
        self.shared = effective_of(self.base, written)

    def write(self, written: DesiredSettings) -> None:
        self.written = written
        self.newest = max(self.newest, written.version)
        self.shared = effective_of(self.base, written)

    def of(self, own: DesiredSettings, local: ReportedSettings = UNREPORTED) -> EffectiveSettings:
        self.newest = max(self.newest, own.version)
        is_shared = own.version == 0 and not local.values
        return self.shared if is_shared else effective_of(self.base, self.written, own, local)

    def origin(self, key: str, own: DesiredSettings = UNWRITTEN, local: ReportedSettings = UNREPORTED) -> str:
        """`machine`, `fleet`, the machine's own `file` (or environment), or `default`."""
        if key in local.above:
            return "file"
        if key in own.values:
            return "machine"
        return "fleet" if key in self.written.values else "file" if key in local.values else "default"

    def newest_scope(self, own: DesiredSettings = UNWRITTEN) -> DesiredSettings:
        return max(self.written, own, key=lambda scope: scope.version)


def wire(found: EffectiveSettings) -> Configuration:
    """Keys that nobody has written are the machine's own file's."""
    return Configuration(version=found.version, values=dict(found.written))


def blocks(values: Values) -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = {block: {} for block in (*table.BLOCKS, OTHER)}
    for key, value in values.items():
        setting = table.SETTINGS.get(key)
        found[OTHER if setting is None else setting.block][key] = value
    return found


def _number(value: Value) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
