"""Queries on `troubles`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from db.engine.statements import NONE, ONE, Write
from db.engine.store import Store
from db.records import record
from db.schema import troubles
from db.trouble_records import TroubleRow

_OPEN = sa.select(troubles).where(troubles.c.ended_at.is_(None)).order_by(troubles.c.id)
_BY_ID = sa.select(troubles).where(troubles.c.id == sa.bindparam("key"))
_OLD = sa.select(troubles.c.id).where(troubles.c.ended_at < sa.bindparam("key_before")).limit(sa.bindparam("key_limit"))
_DELETE_OLD = sa.delete(troubles).where(troubles.c.id.in_(_OLD))


async def open_troubles(store: Store) -> list[TroubleRow]:
    """That stand now, in the order in which they were noticed."""
    return [record(TroubleRow, row) for row in await store.fetch_all(_OPEN)]


async def ended_since(store: Store, since: datetime) -> list[TroubleRow]:
    """Over since then, in that order."""
    query = sa.select(troubles).where(troubles.c.ended_at >= since).order_by(troubles.c.ended_at, troubles.c.id)
    return [record(TroubleRow, row) for row in await store.fetch_all(query)]


async def find(store: Store, trouble_id: int) -> TroubleRow | None:
    row = await store.fetch_one(_BY_ID, {"key": trouble_id})
    return None if row is None else record(TroubleRow, row)


async def page(
    store: Store,
    state: str,
    now: datetime,
    limit: int,
    rvm_ids: Collection[int] | None,
    *,
    cause: str | None = None,
    before: int | None = None,
    since: datetime | None = None,
) -> list[TroubleRow]:
    """Newest first; `state`: open, taken, snoozed or over; `rvm_ids` None: all; `since`: over since then."""
    ended = troubles.c.ended_at
    query = sa.select(troubles).where(ended.is_not(None) if state == "over" else ended.is_(None))
    if state == "taken":
        query = query.where(troubles.c.owner_id.is_not(None))
    if state == "snoozed":
        query = query.where(troubles.c.snoozed_until > now)
    if since is not None:
        query = query.where(ended >= since)
    if rvm_ids is not None:
        query = query.where(troubles.c.rvm_id.in_(sorted(rvm_ids)))
    if cause is not None:
        query = query.where(troubles.c.cause == cause)
    if before is not None:
        query = query.where(troubles.c.id < before)
    return [record(TroubleRow, row) for row in await store.fetch_all(query.order_by(troubles.c.id.desc()).limit(limit))]


class Together(NamedTuple):
    """Machines that were offline together and are there again: when the first and the last of them went, and when the
    last one was there again."""

    size: int
    first_at: datetime
    last_at: datetime
    ended_at: datetime


class OverMark(NamedTuple):
    """Where one stands in the list: what ends later stands before it, whatever its number."""

    ended_at: datetime
    id: int


class EndedTrouble(NamedTuple):
    """`together` None: alone."""

    row: TroubleRow
    together: Together | None
    place: OverMark


async def over(
    store: Store,
    since: datetime,
    limit: int,
    rvm_ids: Collection[int] | None,
    *,
    apart: timedelta,
    many: int,
    least: timedelta,
    after: OverMark | None = None,
    of: int | None = None,
) -> list[EndedTrouble]:
    """Over since then, what ended last first. Of `many` machines or more that went offline within `apart` of each other
    only the newest; with `of`, the number of one of them, all of these and nothing else. `rvm_ids` None: all. Without
    machines that connected within `least` of when they were added, if nobody did anything about it."""
    there = [troubles.c.ended_at.is_not(None), troubles.c.ended_at >= since]
    if rvm_ids is not None:
        there.append(troubles.c.rvm_id.in_(sorted(rvm_ids)))
    member, group = _together(store.dialect, there, apart, many)
    joined = troubles.outerjoin(member, member.c.id == troubles.c.id).outerjoin(group, group.c.part == member.c.part)
    ended = troubles.c.ended_at if of is not None else sa.func.coalesce(group.c.end, troubles.c.ended_at)
    columns = (group.c.size, group.c.first, group.c.last, group.c.end, ended.label("place"))
    query = sa.select(troubles, *columns).select_from(joined).where(*there, sa.not_(_passing(store.dialect, least)))
    if of is None:
        query = query.where(sa.or_(group.c.part.is_(None), group.c.newest == troubles.c.id))
    else:
        query = query.where(group.c.part == sa.select(member.c.part).where(member.c.id == of).scalar_subquery())
    if after is not None:
        earlier = sa.and_(ended == after.ended_at, troubles.c.id < after.id)
        query = query.where(sa.or_(ended < after.ended_at, earlier))
    query = query.order_by(ended.desc(), troubles.c.id.desc()).limit(limit)
    return [_over(row) for row in await store.fetch_all(query)]


def _passing(dialect: str, least: timedelta) -> sa.ColumnElement[bool]:
    """A machine was added and connected at once, and nobody did anything about it: nothing to look back at."""
    untouched = sa.and_(troubles.c.owner_id.is_(None), troubles.c.note.is_(None))
    short = troubles.c.ended_at < _later(dialect, troubles.c.began_at, least)
    return sa.and_(troubles.c.cause == "never", untouched, short)


def _later(dialect: str, moment: sa.ColumnElement[Any], span: timedelta) -> sa.ColumnElement[Any]:
    if dialect == "sqlite":
        return sa.type_coerce(moment, sa.BigInteger) + span // timedelta(microseconds=1)
    return moment + sa.cast(span, sa.Interval)


def _together(
    dialect: str, there: Iterable[sa.ColumnElement[bool]], apart: timedelta, many: int
) -> tuple[sa.CTE, sa.CTE]:
    """Each offline trouble with the number of its part, where a part ends before a pause; and the great parts."""
    number, began, ended = troubles.c.id, troubles.c.began_at, troubles.c.ended_at
    before = sa.func.lag(began).over(order_by=(began, number))
    begins = sa.case((began > _later(dialect, before, apart), ONE), else_=NONE).label("begins")
    gone = sa.select(number, began, ended, begins).where(*there, troubles.c.cause == "offline").cte()
    part = sa.func.sum(gone.c.begins).over(order_by=(gone.c.began_at, gone.c.id)).label("part")
    member = sa.select(gone.c.id, gone.c.began_at, gone.c.ended_at, part).cte()
    group = sa.select(
        member.c.part,
        sa.func.count().label("size"),
        sa.func.min(member.c.began_at).label("first"),
        sa.func.max(member.c.began_at).label("last"),
        sa.func.max(member.c.ended_at).label("end"),
        sa.func.max(member.c.id).label("newest"),
    )
    return member, group.group_by(member.c.part).having(sa.func.count() >= many).cte()


def _over(row: Mapping[str, Any]) -> EndedTrouble:
    values = dict(row)
    size, *moments = (values.pop(name) for name in ("size", "first", "last", "end"))
    place = OverMark(values.pop("place"), values["id"])
    return EndedTrouble(record(TroubleRow, values), None if size is None else Together(size, *moments), place)


async def went_between(
    store: Store, first: datetime, last: datetime, since: datetime, rvm_ids: Collection[int] | None
) -> list[tuple[int, str | None]]:
    """Machines that were offline from then on and are there again, with who was on it."""
    query = sa.select(troubles.c.rvm_id, troubles.c.owner).where(
        troubles.c.ended_at >= since, troubles.c.began_at >= first, troubles.c.began_at <= last,
        troubles.c.cause == "offline",
    )  # fmt: skip
    if rvm_ids is not None:
        query = query.where(troubles.c.rvm_id.in_(sorted(rvm_ids)))
    return [(row["rvm_id"], row["owner"]) for row in await store.fetch_all(query)]


class Lasted(NamedTuple):
    """`ended_at` None: it goes on."""

    cause: str
    began_at: datetime
    ended_at: datetime | None


async def noticed_since(store: Store, since: datetime, rvm_ids: Collection[int] | None, limit: int) -> list[Lasted]:
    """The newest; `rvm_ids` None: all."""
    ended, noticed = troubles.c.ended_at, troubles.c.noticed_at
    # By the index on their end: most are over for long.
    query = sa.select(troubles.c.cause, troubles.c.began_at, ended).where(
        sa.or_(ended >= since, ended.is_(None)), noticed >= since
    )
    if rvm_ids is not None:
        query = query.where(troubles.c.rvm_id.in_(sorted(rvm_ids)))
    return [Lasted(**row) for row in await store.fetch_all(query.order_by(troubles.c.id.desc()).limit(limit))]


def delete_troubles_before(before: datetime, limit: int) -> Write:
    """Some that were over before then; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_before": before, "key_limit": limit})
