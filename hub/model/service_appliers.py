"""What the services' Changes do to a machine in memory (configuration, time zone): a function a kind.

Each answers the members of the machine's view that may differ now. Knows one machine, never the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from db.records import RemoteSessionRow, is_open
from hub.model.effective_settings import EffectiveSettings
from hub.model.machine import Machine
from hub.model.presence import judge_readings
from hub.model.service_changes import TimezoneSynced
from hub.model.timezones import state_of

Members = frozenset[str]

CONFIG_MEMBERS: Final = frozenset({"config_wanted", "health", "health_reasons", "expected_interval_s"})
SESSION_MEMBERS: Final = frozenset({"lease"})
ZONE_MEMBERS: Final = frozenset({"timezone", "clock_offset_s", "ntp"})


def settle(machine: Machine, found: EffectiveSettings) -> Members:
    """Other settings are in force: the newest readings are judged by the new limits at once."""
    machine.effective_settings = found
    if machine.readings is not None:
        machine.health, machine.health_reasons = judge_readings(machine.readings, found.limits)
    return CONFIG_MEMBERS


def timezone_synced(machine: Machine, change: TimezoneSynced) -> Members:
    if change.outdated:
        return frozenset()
    machine.zone = state_of(change)
    machine.zone_said = change.said
    machine.timezone = machine.zone.current_timezone
    if change.clock_offset_s is not None:
        machine.clock_offset_s = change.clock_offset_s
    if change.ntp is not None:
        machine.ntp = change.ntp
    return ZONE_MEMBERS


def session_is(machine: Machine, row: RemoteSessionRow) -> Members:
    if is_open(row):
        machine.remote_sessions[row.id] = row
    else:
        machine.remote_sessions.pop(row.id, None)
    return SESSION_MEMBERS


OF_ONE_MACHINE: Final[Mapping[type, Callable[[Machine, Any], Members]]] = {
    TimezoneSynced: timezone_synced,
}
