"""Decides what many machines can be asked for at once. Pure. `bulk.js` decides the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from dashboard.actions import can
from dashboard.trouble import View


class BulkAction(NamedTuple):
    key: str
    name: Literal["set_status", "sync_timezone"]
    args: Mapping[str, Any]
    needs_reason: bool


BULK_ACTIONS: Final[Mapping[str, BulkAction]] = {
    action.key: action
    for action in (
        BulkAction("maintenance", "set_status", {"status": "maintenance"}, needs_reason=True),
        BulkAction("active", "set_status", {"status": "active"}, needs_reason=False),
        BulkAction("sync_timezone", "sync_timezone", {}, needs_reason=False),
    )
}


class Forecast(NamedTuple):
    now: int
    wait: int
    cannot: int


def forecast(action: BulkAction, machines: Iterable[View]) -> Forecast:
    counts = [0, 0, 0]
    for m in machines:
        if not can(action.name, m):
            counts[2] += 1
        else:
            counts[1 if m["connection"] in ("offline", "never") else 0] += 1
    return Forecast(*counts)
