"""The shapes of the time zone's answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

import msgspec

from hub.web.api_v2.kinds import Instant
from hub.web.api_v2.shapes import Command
from protocol.kinds import SyncMethod, ZoneSource


class Counts(msgspec.Struct):
    """Attempts so far: by method, how many failed, and how many led to another zone."""

    automatic: int
    manual: int
    failed: int
    changed: int


class ZoneStatus(msgspec.Struct):
    """`current_timezone` is what naive timestamps of the machine are read in. `guess` is what a look-up answered that
    differs from a pinned zone. `in_step`: the operating system has the zone it should have; null when it is not known.
    `restart` names the services that still run with the old zone. `pending` is a sync that was asked for and has not
    ended. Nothing is known of `last_sync` before the first report."""

    device_id: str
    current_timezone: str | None
    abbreviation: str | None
    country: str | None
    city: str | None
    last_sync: Instant | None
    sync_status: Literal["active", "failed"] | None
    sync_method: SyncMethod | None
    source: ZoneSource | None
    pinned_timezone: str | None
    guess: str | None
    system_timezone: str | None
    in_step: bool | None
    clock_offset_s: float | None
    ntp: bool | None
    error: dict[str, str] | None
    restart: list[str]
    counts: Counts
    pending: Command | None
