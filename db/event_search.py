"""Searching the record of events, page by page in both directions. Knows codes and parameters, no sentences.

Time and machine have an index. Everything else is looked for in stretches of STRETCH events, so that each
query is short however long the record is; after MOST of them the search stops and says how far it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from db.connection import Store
from db.records import EventRow
from db.schema import events

STRETCH: Final = 20_000
"""Events that one query looks through: some 50 ms on either database."""
MOST: Final = 10
"""Stretches for one page."""
GROUPS: Final = ("user", "machine")
"""Actors that may be asked for as a whole: any user, any machine."""

_C = events.c
_TEXTS = (_C.params, _C.before, _C.after)


class EventMark(NamedTuple):
    """A place in the record: events are ordered by instant, and by id within one."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Each one that is given narrows. `rvm_ids` hides what concerns other machines and what concerns none,
    `of_machines` only the latter; `start` is included, `end` is not. `kinds` are what codes begin with, up to the dot.
    `actor` is an actor or one of GROUPS.

    `text` is looked for in code, actor, parameters, before and after, ASCII letters in either case; `text_rvms` and
    `text_actors` are the machines and people whose names have it, which no row holds.
    """

    rvm_ids: Collection[int] | None = None
    of_machines: bool = False
    kinds: Collection[str] | None = None
    codes: Collection[str] | None = None
    actor: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    text: str | None = None
    text_rvms: Collection[int] = ()
    text_actors: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """`rows` newest first. `more`: there are, or there may be, others beyond, in the direction asked for; `reached` is
    where a search that stopped before it was full has to go on (None: at the last row of the page). `looked` is how
    many events, at the least, were looked through by something that has no index."""

    rows: list[EventRow]
    more: bool
    reached: EventMark | None = None
    looked: int = 0


async def search(
    store: Store, filters: EventFilters, limit: int, *, before: EventMark | None = None, after: EventMark | None = None
) -> EventPage:
    """The page older than `before`, or newer than `after` (the nearest to it), else the newest."""
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
    """The last event of the next stretch, by what has an index (so it is one the reader may know of); None when the
    record ends within it."""
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
    elif filters.of_machines:
        found.append(_C.rvm_id.is_not(None))
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
    """The whole pattern is a value: `contains` and `startswith` put a % into the SQL text (`db.reading`)."""
    return column.like(pattern.format(re.sub("[/%_]", r"/\g<0>", text)), escape="/")
