"""How the Changes of the services (configuration, time zone) are written: part of `hub.kernel.recorder`'s table.

Each gives the steps of its Change. Decides nothing, waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from db import machines, timezones
from db.statements import Step
from hub.model.service_changes import TimezoneSynced
from hub.model.timezones import state_of

Steps = tuple[Step, ...]


def _timezone_synced(change: TimezoneSynced) -> Steps:
    log = timezones.log_sync(
        device_id=change.device_id,
        timezone=change.timezone,
        country=change.country,
        city=change.city,
        ip=change.ip,
        sync_method=change.sync_method,
        synced_at=change.synced_at,
        at=change.at,
        sync_status=change.sync_status,
        previous=change.previous,
        source=change.source,
        error=change.error,
        clock_offset_s=change.clock_offset_s,
    )
    return (log,) if change.outdated else (*_zone_now(change), log)


def _zone_now(change: TimezoneSynced) -> Steps:
    state = state_of(change)
    now_is = timezones.set_zone(
        device_id=change.device_id,
        current_timezone=state.current_timezone,
        country=state.country,
        city=state.city,
        last_sync=change.synced_at,
        sync_status=state.sync_status,
        sync_method=change.sync_method,
        source=state.source,
        guess=state.guess,
        system_timezone=state.system_timezone,
        error=state.error,
        restart=state.restart,
        at=change.at,
    )
    row = machines.zone_synced(
        change.rvm_id, state.current_timezone, clock_offset_s=change.clock_offset_s, ntp=change.ntp, at=change.at
    )
    return (row, now_is)


RECIPES: Final[Mapping[type, Callable[[Any], Steps]]] = {
    TimezoneSynced: _timezone_synced,
}
