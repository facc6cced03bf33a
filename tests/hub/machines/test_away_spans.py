"""When a machine was offline, as its events tell it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from db.records import EventRow
from hub.machines.page import away_spans
from hub.model.views import epoch_ms
from tests.support.machines import NOW, machine


def moved(at_s: float, connection: str, **params: Any) -> EventRow:
    at = NOW + timedelta(seconds=at_s)
    return EventRow(at=at, code="connection.changed", actor="clock", params={"connection": connection, **params})


def test_an_offline_stretch_begins_with_the_last_contact_also_of_older_events_without_it() -> None:
    since = (NOW + timedelta(seconds=70)).isoformat()
    moves = [moved(100, "offline", since=since), moved(40, "live"), moved(10, "offline")]
    start = epoch_ms(NOW)
    assert away_spans(machine(), moves, start + 200_000) == [
        (start + 70_000, start + 200_000),
        (start + 10_000, start + 40_000),
    ]
