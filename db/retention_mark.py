"""How far the hub's clock was believed when it last deleted what is old: kept in `counters`. Decides nothing."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from db.columns import from_microseconds, to_microseconds
from db.connection import Store
from db.records import CounterRow
from db.schema import counters, events

_NAME = "retention"
_READ = sa.select(counters.c.value).where(counters.c.name == _NAME)
_NEWEST = sa.select(events.c.at).order_by(events.c.id.desc()).limit(1)


async def reached(store: Store) -> datetime | None:
    """Where it stood; before the first time, when the newest event was recorded (None: there is none)."""
    row = await store.fetch_one(_READ)
    if row is not None:
        return from_microseconds(row["value"])
    newest = await store.fetch_one(_NEWEST)
    return None if newest is None else newest["at"]


def mark(at: datetime) -> CounterRow:
    return CounterRow(name=_NAME, value=to_microseconds(at))
