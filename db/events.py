"""Queries on `events`, the audit log: added to and read, never changed; and how far retention has come. No sentences.

Searching in it (by kind, by text, page by page in both directions) is `db.event_search`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from db.columns import from_microseconds, to_microseconds
from db.connection import Store
from db.records import CounterRow, EventRow
from db.schema import counters, events

_BY_ID = sa.select(events).where(events.c.id == sa.bindparam("key_id"))
_RETENTION: Final = "retention"
"""The counter of how far the hub's clock was believed when it last deleted what is old."""
_REACHED = sa.select(counters.c.value).where(counters.c.name == _RETENTION)
_NEWEST = sa.select(events.c.at).order_by(events.c.id.desc()).limit(1)


async def find_event(store: Store, event_id: int) -> EventRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": event_id})
    return None if row is None else EventRow(**row)


async def list_events(
    store: Store,
    *,
    limit: int,
    before: tuple[datetime, int] | None = None,
    rvm_ids: Collection[int] | None = None,
    of_fleet: bool = False,
    codes: Collection[str] | None = None,
    actor: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[EventRow]:
    """Newest first; each filter that is given narrows. `before` is (at, id) of the last row of the page before.

    `rvm_ids` hides what concerns other machines and what concerns none, `of_fleet` what concerns a machine; `start` is
    included, `end` is not.
    """
    query = sa.select(events)
    if before is not None:
        earlier = sa.or_(events.c.at < before[0], sa.and_(events.c.at == before[0], events.c.id < before[1]))
        query = query.where(events.c.at <= before[0], earlier)
    if rvm_ids is not None:
        # One machine by equality: its index then gives the order, too.
        one = next(iter(rvm_ids)) if len(rvm_ids) == 1 else None
        query = query.where(events.c.rvm_id.in_(sorted(rvm_ids)) if one is None else events.c.rvm_id == one)
    if of_fleet:
        query = query.where(events.c.rvm_id.is_(None))
    if codes is not None:
        query = query.where(events.c.code.in_(sorted(codes)))
    if actor is not None:
        query = query.where(events.c.actor == actor)
    if start is not None:
        query = query.where(events.c.at >= start)
    if end is not None:
        query = query.where(events.c.at < end)
    rows = await store.fetch_all(query.order_by(events.c.at.desc(), events.c.id.desc()).limit(limit))
    return [EventRow(**row) for row in rows]


async def retention_reached(store: Store) -> datetime | None:
    """Where it stood; before the first time, when the newest event was recorded (None: there is none)."""
    row = await store.fetch_one(_REACHED)
    if row is not None:
        return from_microseconds(row["value"])
    newest = await store.fetch_one(_NEWEST)
    return None if newest is None else newest["at"]


def retention_mark(at: datetime) -> CounterRow:
    return CounterRow(name=_RETENTION, value=to_microseconds(at))
