"""Queries on `events`, the audit log: added to and read, never changed.

Time and machine have an index. Everything else is searched in stretches of STRETCH events; after MOST of them the
search stops and returns how far it came."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from db.columns import from_microseconds, to_microseconds
from db.engine.store import Store
from db.records import CounterRow, EventRow, record
from db.schema import counters, events

STRETCH: Final = 20_000
"""Events of one query: some 50 ms on either database."""
MOST: Final = 10
GROUPS: Final = ("user", "machine")
"""Actors that can be asked for as a whole."""

_C = events.c
_TEXTS = (_C.params, _C.before, _C.after)


class EventMark(NamedTuple):
    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class EventFilters:
    """`rvm_ids`: events of these machines alone; `of`: of any machine, or of none; `start` is included, `end` is not.
    `kinds`: what codes begin with, up to the dot. `actor`: an actor or one of GROUPS.

    `text`: in code, actor, parameters, before and after, ASCII letters in either case; `text_rvms` and
    `text_actors`: machines and people whose names have it."""

    rvm_ids: Collection[int] | None = None
    of: Literal["machines", "fleet"] | None = None
    kinds: Collection[str] | None = None
    codes: Collection[str] | None = None
    actor: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    text: str | None = None
    text_rvms: Collection[int] = ()
    text_actors: Collection[str] = ()


EVERY_EVENT: Final = EventFilters()


@dataclass(frozen=True, slots=True)
class EventPage:
    """`rows` newest first. `more`: there may be others; `reached`: where a search that stopped early goes on (None:
    at the last row). `looked`: events read without an index."""

    rows: list[EventRow]
    more: bool
    reached: EventMark | None = None
    looked: int = 0


async def search(
    store: Store, filters: EventFilters, limit: int, *, before: EventMark | None = None, after: EventMark | None = None
) -> EventPage:
    """Older than `before`, or newer than `after` (the nearest), else the newest."""
    newer = after is not None
    place = after if newer else before
    found: list[EventRow] = []
    looked = 0
    for _ in range(MOST):
        edge = await _edge(store, filters, place, newer=newer) if _unindexed(filters) else None
        query = sa.select(events).where(*_indexed(filters), *_unindexed(filters), *_beyond(place, newer=newer))
        if edge is not None:
            query = query.where(sa.not_(_past(edge, newer=newer)))
        rows = await store.fetch_all(_ordered(query, newer=newer).limit(limit + 1 - len(found)))
        found += [EventRow(**row) for row in rows]
        place = edge
        if edge is None or len(found) > limit:
            break
        looked += STRETCH
    stopped = place if len(found) <= limit else None
    page = found[:limit]
    more = len(found) > limit or stopped is not None
    return EventPage(page[::-1] if newer else page, more=more, reached=stopped, looked=looked)


async def _edge(store: Store, filters: EventFilters, place: EventMark | None, *, newer: bool) -> EventMark | None:
    """By what has an index; None: the log ends within the stretch."""
    query = sa.select(_C.at, _C.id).where(*_indexed(filters), *_beyond(place, newer=newer))
    row = await store.fetch_one(_ordered(query, newer=newer).limit(1).offset(STRETCH - 1))
    return None if row is None else EventMark(row["at"], row["id"])


def _ordered(query: sa.Select[Any], *, newer: bool) -> sa.Select[Any]:
    return query.order_by(_C.at, _C.id) if newer else query.order_by(_C.at.desc(), _C.id.desc())


def _beyond(place: EventMark | None, *, newer: bool) -> list[sa.ColumnElement[bool]]:
    return [] if place is None else [_past(place, newer=newer)]


def _past(place: EventMark, *, newer: bool) -> sa.ColumnElement[bool]:
    if newer:
        later = sa.or_(_C.at > place.at, sa.and_(_C.at == place.at, _C.id > place.id))
        return sa.and_(_C.at >= place.at, later)
    earlier = sa.or_(_C.at < place.at, sa.and_(_C.at == place.at, _C.id < place.id))
    return sa.and_(_C.at <= place.at, earlier)


def _indexed(filters: EventFilters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.rvm_ids is not None:
        # One machine by equality: its index then gives the order, too.
        one = next(iter(filters.rvm_ids)) if len(filters.rvm_ids) == 1 else None
        found.append(_C.rvm_id.in_(sorted(filters.rvm_ids)) if one is None else _C.rvm_id == one)
    elif filters.of is not None:
        found.append(_C.rvm_id.is_not(None) if filters.of == "machines" else _C.rvm_id.is_(None))
    if filters.start is not None:
        found.append(_C.at >= filters.start)
    if filters.end is not None:
        found.append(_C.at < filters.end)
    return found


def _unindexed(filters: EventFilters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.kinds is not None:
        found.append(sa.or_(sa.false(), *(_like(_C.code, "{}%", f"{kind}.") for kind in filters.kinds)))
    if filters.codes is not None:
        found.append(_C.code.in_(sorted(filters.codes)))
    if filters.actor in GROUPS:
        found.append(_like(_C.actor, "{}%", f"{filters.actor}:"))
    elif filters.actor is not None:
        found.append(_C.actor == filters.actor)
    if filters.text is not None:
        found.append(_with_text(filters))
    return found


def _with_text(filters: EventFilters) -> sa.ColumnElement[bool]:
    text = (filters.text or "").lower()
    # The JSON columns are searched as they are written: as JSON, with \u for everything beyond ASCII.
    written = json.dumps(filters.text or "")[1:-1].lower()
    places = [_like(sa.func.lower(column), "%{}%", text) for column in (_C.code, _C.actor)]
    places += [_like(sa.func.lower(sa.cast(column, sa.Text)), "%{}%", written) for column in _TEXTS]
    if filters.text_rvms:
        places.append(_C.rvm_id.in_(sorted(filters.text_rvms)))
    if filters.text_actors:
        places.append(_C.actor.in_(sorted(filters.text_actors)))
    return sa.or_(*places)


def _like(column: sa.ColumnElement[Any], pattern: str, text: str) -> sa.ColumnElement[bool]:
    """As a value: `contains` puts a % into the SQL text."""
    return column.like(pattern.format(re.sub("[/%_]", r"/\g<0>", text)), escape="/")


_BY_ID = sa.select(events).where(events.c.id == sa.bindparam("key_id"))
_RETENTION: Final = "retention"
"""How far the hub's clock was believed when it last deleted."""
_REACHED = sa.select(counters.c.value).where(counters.c.name == _RETENTION)
_NEWEST = sa.select(events.c.at).order_by(events.c.id.desc()).limit(1)


async def find_event(store: Store, event_id: int) -> EventRow | None:
    row = await store.fetch_one(_BY_ID, {"key_id": event_id})
    return None if row is None else EventRow(**row)


async def list_events(store: Store, filters: EventFilters = EVERY_EVENT, *, limit: int) -> list[EventRow]:
    """The newest, in one read however many events it looks at: for filters with an index, or for a small log."""
    query = sa.select(events).where(*_indexed(filters), *_unindexed(filters))
    return [EventRow(**row) for row in await store.fetch_all(_ordered(query, newer=False).limit(limit))]


async def retention_reached(store: Store) -> datetime | None:
    row = await store.fetch_one(_REACHED)
    if row is not None:
        return from_microseconds(row["value"])
    newest = await store.fetch_one(_NEWEST)
    return None if newest is None else newest["at"]


def retention_mark(at: datetime) -> CounterRow:
    return CounterRow(name=_RETENTION, value=to_microseconds(at))


_NEWEST_ID = sa.select(sa.func.max(_C.id).label("id"))
_BY_SYSTEM = (
    sa.select(events)
    .where(_C.id > sa.bindparam("key_after"), _C.id <= sa.bindparam("key_to"), _C.actor == "system")
    .order_by(_C.id)
    .limit(sa.bindparam("key_limit"))
)


async def newest_event_id(store: Store) -> int:
    row = await store.fetch_one(_NEWEST_ID)
    return 0 if row is None or row["id"] is None else int(row["id"])


async def events_by_system(store: Store, after: int, to: int, limit: int) -> list[EventRow]:
    values = {"key_after": after, "key_to": to, "key_limit": limit}
    return [record(EventRow, row) for row in await store.fetch_all(_BY_SYSTEM, values)]
