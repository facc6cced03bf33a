"""What a machine says of the settings it was told: which version it runs, and what of it it could not take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hub.core import actors
from hub.core.changes import Change, EventHappened
from hub.core.machine import Machine
from hub.core.service_changes import ConfigApplied


def applied(machine: Machine, version: int, errors: Mapping[str, str], now: datetime) -> list[Change]:
    """[] when it is known already: a machine says it after every `welcome`.

    Version 0 is a machine that runs by its own file; that it does is no event.
    """
    if (version, dict(errors)) == (machine.config_version, machine.config_errors or {}):
        return []
    change = ConfigApplied(rvm_id=machine.id, version=version, errors=dict(errors), at=now)
    if version == 0:
        return [change]
    event = EventHappened(
        at=now,
        code="config.refused" if errors else "config.applied",
        actor=actors.machine(machine.id),
        rvm_id=machine.id,
        params={"version": version} | ({"errors": dict(errors)} if errors else {}),
        before={"version": machine.config_version},
        after={"version": version},
    )
    return [change, event]
