"""Decides when a good backup is overdue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from hub.model.backups import last_good
from hub.model.effective_settings import EffectiveSettings
from hub.model.machine import Machine

GRACE: Final = timedelta(days=1)
MISSED: Final = 2
"""Intervals."""
COMMAND: Final = "start_backup"


def interval_of(settings: EffectiveSettings) -> timedelta:
    seconds = settings.values["backup_interval"]
    return timedelta(seconds=float(seconds) if isinstance(seconds, (int, float)) else 0.0)


def late_at(settings: EffectiveSettings, since: datetime) -> datetime | None:
    """None: never. `since`: its last good backup, else enrolment."""
    if not settings.on("backup_enabled"):
        return None
    return since + MISSED * interval_of(settings) + GRACE


def is_backed_up(machine: Machine) -> bool:
    """Whether it is asked for backups by schedule."""
    is_able = COMMAND in machine.capabilities and not machine.row.simulated
    return is_able and machine.effective_settings.on("backup_enabled")


def late_of(machine: Machine) -> datetime | None:
    """From when on a good backup is overdue; None: it makes none by schedule."""
    if not is_backed_up(machine):
        return None
    good = last_good(machine.backups)
    since = machine.row.created_at if good is None else good.completed_at or good.created_at
    return late_at(machine.effective_settings, since)


def is_late(machine: Machine, now: datetime) -> bool:
    late = late_of(machine)
    return late is not None and late <= now
