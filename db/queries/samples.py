"""Queries on `system_metrics`: history in buckets, each machine's newest, deletion of the old."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from db.columns import to_microseconds
from db.engine.statements import NONE, Write
from db.engine.store import Store
from db.rows import METRICS, SampleRow
from db.schema import reverse_vending_machines as machines
from db.schema import system_metrics

Spread = tuple[float, float, float]
"""Minimum, average and maximum."""

PIECE = timedelta(days=10)
"""Of one read: a year takes several seconds, and one read may take 5."""

_SAMPLE = [system_metrics.c[name] for name in SampleRow._fields]
_KEY = (system_metrics.c.rvm_id, system_metrics.c.timestamp, system_metrics.c.boot, system_metrics.c.seq)
_MICROSECOND = timedelta(microseconds=1)
# Constants, with these for values: to make one of many columns takes as long as a small read.
_at = system_metrics.c.timestamp
_of_one = system_metrics.c.rvm_id == sa.bindparam("key_id")
_of_some = system_metrics.c.rvm_id.in_(sa.bindparam("key_ids", expanding=True))
_before = _at < sa.bindparam("key_to")
_within = (_at >= sa.bindparam("key_from"), _before)
_NEWEST_BEFORE = (
    sa.select(*_SAMPLE)
    .where(_of_one, _before)
    .order_by(_at.desc(), system_metrics.c.boot.desc(), system_metrics.c.seq.desc())
    .limit(1)
)
_BETWEEN = sa.select(*_SAMPLE).where(_of_one, *_within).order_by(*_KEY[1:]).limit(sa.bindparam("key_limit"))
# By machine, because that is how the rows lie: without it a delete would look at every sample there is.
_OLD = (
    sa.select(*_KEY)
    .where(
        system_metrics.c.rvm_id == sa.bindparam("key_id"),
        system_metrics.c.timestamp < sa.bindparam("key_before"),
        # A machine whose clock was never set dates today's samples years back.
        system_metrics.c.created_at < sa.bindparam("key_before"),
    )
    .limit(sa.bindparam("key_limit"))
)
# Machine by machine, each by its end of the primary key. Materialized and an outer join, because otherwise the planners
# prefer to walk through every sample there is.
_NEWEST = (
    sa.select(
        machines.c.id,
        sa.select(sa.func.max(system_metrics.c.timestamp))
        .where(system_metrics.c.rvm_id == machines.c.id)
        .correlate(machines)
        .scalar_subquery()
        .label("newest"),
    )
    .cte("newest")
    .prefix_with("MATERIALIZED")
)
_LATEST = (
    sa.select(*_SAMPLE)
    .select_from(_NEWEST)
    .outerjoin(
        system_metrics,
        sa.and_(system_metrics.c.rvm_id == _NEWEST.c.id, system_metrics.c.timestamp == _NEWEST.c.newest),
    )
    .order_by(system_metrics.c.boot, system_metrics.c.seq)
)
_SPREAD: dict[str, Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]]] = {
    "min": sa.func.min,
    "avg": sa.func.avg,
    "max": sa.func.max,
    "count": sa.func.count,
}
# From machine to machine by the primary key, those that were removed among them: a DISTINCT would read every sample.
_least = sa.select(sa.func.min(system_metrics.c.rvm_id).label("rvm_id"))
_FIRST = _least.cte("stored", recursive=True)
_STORED = _FIRST.union_all(
    sa.select(_least.where(system_metrics.c.rvm_id > _FIRST.c.rvm_id).scalar_subquery()).where(
        _FIRST.c.rvm_id.is_not(None)
    )
)
_oldest = sa.select(sa.func.min(system_metrics.c.timestamp)).where(system_metrics.c.rvm_id == _STORED.c.rvm_id)
_WITH_OLD = sa.select(_STORED.c.rvm_id).where(_oldest.scalar_subquery() < sa.bindparam("key_before"))
_OF_REMOVED = sa.select(_STORED.c.rvm_id).where(
    _STORED.c.rvm_id.is_not(None), ~sa.exists().where(machines.c.id == _STORED.c.rvm_id)
)
_SOME = sa.select(*_KEY).where(system_metrics.c.rvm_id == sa.bindparam("key_id")).limit(sa.bindparam("key_limit"))
_DELETE_SOME = sa.delete(system_metrics).where(sa.tuple_(*_KEY).in_(_SOME))
_DELETE_OLD = sa.delete(system_metrics).where(sa.tuple_(*_KEY).in_(_OLD))


@dataclass(frozen=True, slots=True)
class Bucket:
    """`count` samples from `start` on; a metric nobody measured is not in `metrics`; `measured`: how many did."""

    start: datetime
    count: int
    metrics: dict[str, Spread]
    measured: dict[str, int]


async def history(
    store: Store,
    rvm_id: int,
    start: datetime,
    end: datetime,
    points: int,
    metrics: tuple[str, ...] = METRICS,
) -> list[Bucket]:
    """At most `points` equal buckets over start <= timestamp < end, oldest first, without empty ones."""
    span = (end - start) // _MICROSECOND
    if span <= 0 or points <= 0:
        return []
    width = -(-span // points) * _MICROSECOND
    at_once = max(1, PIECE // width) * width
    if width <= PIECE:
        found = [
            await _piece(store, rvm_id, at, min(end, at + at_once), width, metrics)
            for at in _steps(start, end, at_once)
        ]
        return [bucket for buckets in found for bucket in buckets]
    wide = []
    for at in _steps(start, end, width):
        last = min(end, at + width)
        parts = [await _piece(store, rvm_id, p, min(last, p + PIECE), PIECE, metrics) for p in _steps(at, last, PIECE)]
        wide += _together(at, [bucket for buckets in parts for bucket in buckets])
    return wide


def _steps(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += step


def _together(start: datetime, parts: list[Bucket]) -> list[Bucket]:
    if not parts:
        return []
    metrics = {}
    for name in dict.fromkeys(name for part in parts for name in part.metrics):
        found = [(part.metrics[name], part.measured[name]) for part in parts if name in part.metrics]
        average = sum(spread[1] * count for spread, count in found) / sum(count for _, count in found)
        metrics[name] = (min(spread[0] for spread, _ in found), average, max(spread[2] for spread, _ in found))
    measured = {name: sum(part.measured.get(name, 0) for part in parts) for name in metrics}
    return [Bucket(start, sum(part.count for part in parts), metrics, measured)]


async def _piece(
    store: Store, rvm_id: int, start: datetime, end: datetime, width: timedelta, metrics: tuple[str, ...]
) -> list[Bucket]:
    values = {"key_id": rvm_id, **_bound(store.dialect, start, end, width)}
    rows = await store.fetch_all(_buckets(store.dialect, metrics), values)
    return [_bucket(row, start, width, metrics) for row in rows]


async def spreads(
    store: Store, rvm_ids: Sequence[int], start: datetime, end: datetime, width: timedelta, metrics: tuple[str, ...]
) -> dict[int, list[Bucket]]:
    """Of several machines at once, each in buckets of this width."""
    values = {"key_ids": list(rvm_ids), **_bound(store.dialect, start, end, width)}
    found: dict[int, list[Bucket]] = {}
    for row in await store.fetch_all(_buckets_of_some(store.dialect, metrics), values):
        found.setdefault(row["rvm_id"], []).append(_bucket(row, start, width, metrics))
    return found


def _bucket(row: Mapping[str, Any], start: datetime, width: timedelta, metrics: tuple[str, ...]) -> Bucket:
    return Bucket(
        start + row["bucket"] * width if isinstance(row["bucket"], int) else row["bucket"],
        row["count"],
        {
            name: (row[f"{name}_min"], row[f"{name}_avg"], row[f"{name}_max"])
            for name in metrics
            if row[f"{name}_avg"] is not None
        },
        {name: row[f"{name}_count"] for name in metrics if row[f"{name}_count"]},
    )


def _bound(dialect: str, start: datetime, end: datetime, width: timedelta) -> dict[str, Any]:
    """The values of a select of buckets, in the kinds of its database."""
    within: dict[str, Any] = {"key_from": start, "key_to": end}
    if dialect == "sqlite":
        return within | {"key_origin": to_microseconds(start), "key_width": width // _MICROSECOND}
    return within | {"key_origin": start, "key_width": width}


@cache  # Bound: the few sets of metrics that pages draw, on the two dialects
def _buckets(dialect: str, metrics: tuple[str, ...]) -> sa.Select[Any]:
    return _grouped(dialect, metrics).where(_of_one)


@cache  # Bound: the trends' set of metrics, on the two dialects
def _buckets_of_some(dialect: str, metrics: tuple[str, ...]) -> sa.Select[Any]:
    of = system_metrics.c.rvm_id
    return _grouped(dialect, metrics).where(_of_some).add_columns(of).group_by(of)


def _grouped(dialect: str, metrics: tuple[str, ...]) -> sa.Select[Any]:
    """Aggregated in the database. `bucket`: a number on SQLite, an instant on PostgreSQL."""
    if dialect == "sqlite":
        passed = sa.type_coerce(_at, sa.BigInteger) - sa.bindparam("key_origin", type_=sa.BigInteger)
        bucket: sa.ColumnElement[Any] = passed // sa.bindparam("key_width", type_=sa.BigInteger)
    else:
        width, origin = sa.bindparam("key_width", type_=sa.Interval), sa.bindparam("key_origin", type_=_at.type)
        bucket = sa.func.date_bin(sa.cast(width, sa.Interval), _at, origin, type_=_at.type)
    spreads = [
        function(system_metrics.c[name]).label(f"{name}_{word}")
        for name in metrics
        for word, function in _SPREAD.items()
    ]
    made = sa.select(bucket.label("bucket"), sa.func.count().label("count"), *spreads)
    return made.where(*_within).group_by("bucket").order_by("bucket")


async def latest(store: Store) -> dict[int, SampleRow]:
    # Of two samples of one instant the later boot and number stays.
    rows = await store.fetch_all(_LATEST)
    return {row["rvm_id"]: SampleRow(**row) for row in rows if row["rvm_id"] is not None}


async def newest_before(store: Store, rvm_id: int, end: datetime) -> SampleRow | None:
    row = await store.fetch_one(_NEWEST_BEFORE, {"key_id": rvm_id, "key_to": end})
    return None if row is None else SampleRow(**row)


async def first_reaching(
    store: Store, rvm_id: int, metric: str, value: float, start: datetime, end: datetime
) -> datetime | None:
    """When a reading was first so high. Of a short time: every sample of it is looked at."""
    values = {"key_id": rvm_id, "key_value": value, "key_from": start, "key_to": end}
    row = await store.fetch_one(_first_reaching(metric), values)
    return None if row is None else row["timestamp"]


@cache  # Bound: the metrics
def _first_reaching(metric: str) -> sa.Select[Any]:
    high = system_metrics.c[metric] >= sa.bindparam("key_value")
    return sa.select(_at).where(_of_one, *_within, high).order_by(_at).limit(1)


async def sides(
    store: Store, rvm_ids: Sequence[int], metric: str, limits: Sequence[float], start: datetime, end: datetime
) -> dict[int, str]:
    """By machine, of start <= timestamp < end: when each sample was and at or beyond which of the limits, for
    `read_sides`. One text a machine: rows would cost ten times as much. Without the reading it is beyond none."""
    values: dict[str, Any] = {"key_ids": list(rvm_ids), "key_from": start, "key_to": end}
    values |= {f"key_limit_{place}": limit for place, limit in enumerate(limits)}
    rows = await store.fetch_all(_sides(store.dialect, metric, len(limits)), values)
    return {row["rvm_id"]: row["codes"] for row in rows}


@cache  # Bound: the metrics, each with as many limits as a trouble has, on the two dialects
def _sides(dialect: str, metric: str, limits: int) -> sa.Select[Any]:
    instant = sa.type_coerce(_at, sa.BigInteger) if dialect == "sqlite" else _microseconds(_at)
    code: sa.ColumnElement[Any] = instant * 2**limits
    for place in range(limits):
        beyond = system_metrics.c[metric] >= sa.bindparam(f"key_limit_{place}")
        code += sa.case((beyond, sa.literal(2**place, sa.BigInteger)), else_=NONE)
    # In this order, which both databases keep for what they put together.
    ordered = (
        sa.select(system_metrics.c.rvm_id, sa.cast(code, sa.String).label("code"))
        .where(_of_some, *_within)
        .order_by(*_KEY)
        .subquery()
    )
    together = sa.func.group_concat if dialect == "sqlite" else sa.func.string_agg
    return sa.select(ordered.c.rvm_id, together(ordered.c.code, ",").label("codes")).group_by(ordered.c.rvm_id)


def _microseconds(at: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.extract("epoch", at) * 1_000_000, sa.BigInteger)


def read_sides(codes: str, limits: int) -> list[Iterator[tuple[int, bool]]]:
    """For each of so many limits: microseconds since the epoch, and whether at or beyond it."""
    numbers = [int(code) for code in codes.split(",")]

    def of(bit: int) -> Iterator[tuple[int, bool]]:
        return ((number >> limits, number & bit != 0) for number in numbers)

    return [of(1 << place) for place in range(limits)]


class Measured(NamedTuple):
    """The `highest` of `number` samples that have the reading."""

    highest: float
    number: int


async def highest(
    store: Store, rvm_ids: Sequence[int], metric: str, start: datetime, end: datetime
) -> dict[int, Measured]:
    """Of each machine that measured it."""
    values = {"key_ids": list(rvm_ids), "key_from": start, "key_to": end}
    rows = await store.fetch_all(_highest(metric), values)
    return {row["rvm_id"]: Measured(row["top"], row["number"]) for row in rows if row["number"]}


@cache  # Bound: the metrics
def _highest(metric: str) -> sa.Select[Any]:
    of, value = system_metrics.c.rvm_id, system_metrics.c[metric]
    query = sa.select(of, sa.func.max(value).label("top"), sa.func.count(value).label("number"))
    return query.where(_of_some, *_within).group_by(of)


async def between(store: Store, rvm_id: int, start: datetime, end: datetime, limit: int) -> list[SampleRow]:
    values = {"key_id": rvm_id, "key_from": start, "key_to": end, "key_limit": limit}
    return [SampleRow(**row) for row in await store.fetch_all(_BETWEEN, values)]


async def machines_with_samples_before(store: Store, before: datetime) -> list[int]:
    """Also of removed machines."""
    rows = await store.fetch_all(_WITH_OLD, {"key_before": before})
    return [row["rvm_id"] for row in rows]


def delete_samples_before(rvm_id: int, before: datetime, limit: int) -> Write:
    """Repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLD, {"key_id": rvm_id, "key_before": before, "key_limit": limit})


async def removed_machines(store: Store) -> list[int]:
    return [row["rvm_id"] for row in await store.fetch_all(_OF_REMOVED)]


def delete_samples(rvm_id: int, limit: int) -> Write:
    return Write(_DELETE_SOME, {"key_id": rvm_id, "key_limit": limit})


_SIZE: Final = {
    "sqlite": sa.select(sa.literal_column("page_count * page_size").label("size")).select_from(
        sa.text("pragma_page_count(), pragma_page_size()")
    ),
    "postgresql": sa.select(sa.func.pg_database_size(sa.func.current_database()).label("size")),
}


async def database_size(store: Store) -> int:
    """Bytes, of which the samples are most."""
    row = await store.fetch_one(_SIZE[store.dialect])
    return 0 if row is None else int(row["size"])
