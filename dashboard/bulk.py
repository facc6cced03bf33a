"""Decides what many machines can be asked for at once. Pure. `bulk.js` decides the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from dashboard.actions import can
from dashboard.trouble import View


class BulkAction(NamedTuple):
    key: str
    name: Literal["set_status", "sync_timezone"]
    args: Mapping[str, Any]
    needs_reason: bool
    may_end: bool = False
    """By itself, after one of HOURS."""


HOURS: Final = (1, 4, 24)
HOUR_MS: Final = 3_600_000


BULK_ACTIONS: Final[Mapping[str, BulkAction]] = {
    action.key: action
    for action in (
        BulkAction("maintenance", "set_status", {"status": "maintenance"}, needs_reason=True, may_end=True),
        BulkAction("active", "set_status", {"status": "active"}, needs_reason=False),
        BulkAction("sync_timezone", "sync_timezone", {}, needs_reason=False),
    )
}


class Forecast(NamedTuple):
    now: int
    wait: int
    cannot: int


def ends_at(action: BulkAction, choice: str, asked_at: str, now: int) -> int | None:
    """Counted from when the page asked, so that a second press asks for the same; from now when that is long ago."""
    if not action.may_end or choice not in map(str, HOURS):
        return None
    asked = int(asked_at) if re.fullmatch("[0-9]{1,15}", asked_at) else now
    return (asked if now - HOUR_MS < asked <= now else now) + int(choice) * HOUR_MS


def forecast(action: BulkAction, machines: Iterable[View]) -> Forecast:
    counts = [0, 0, 0]
    for m in machines:
        if not can(action.name, m):
            counts[2] += 1
        else:
            counts[1 if m["connection"] in ("offline", "never") else 0] += 1
    return Forecast(*counts)
