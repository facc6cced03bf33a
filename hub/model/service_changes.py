"""The Changes of the services (configuration, time zone, a machine's REST): values as those of `hub.model.changes`."""

from __future__ import annotations

from datetime import datetime

from hub.model.changes import Change
from protocol.kinds import SyncMethod, ZoneSource


class TimezoneSynced(Change, frozen=True, kw_only=True):
    """One attempt of a machine to have the right zone. `sync_status` is active or failed; `synced_at` is the machine's
    own instant and, with the method, what makes a repeated report one row."""

    rvm_id: int
    device_id: str
    timezone: str
    sync_method: SyncMethod
    synced_at: datetime
    at: datetime
    sync_status: str = "active"
    previous: str | None = None
    country: str | None = None
    city: str | None = None
    ip: str | None = None
    source: ZoneSource | None = None
    guess: str | None = None
    system_timezone: str | None = None
    error: dict[str, str] | None = None
    restart: tuple[str, ...] = ()
    clock_offset_s: float | None = None
    ntp: bool | None = None
    said: str | None = None
    """`synced_at` as the machine wrote it: tells a repeat where that clock was impossible."""
    outdated: bool = False
    """A newer attempt was told of before: this one is on record, and makes nothing true."""
