"""Queries on `system_metrics`: history in buckets, the newest of each machine, and letting go of the old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.connection import Store
from db.rows import METRICS, SampleRow
from db.statements import Write

Spread = tuple[float, float, float]
"""Minimum, average and maximum."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`count` samples from `start` on; a metric nobody measured in it is absent from `metrics`."""

    start: datetime
    count: int
    metrics: dict[str, Spread]


async def history(
    store: Store,
    rvm_id: int,
    start: datetime,
    end: datetime,
    points: int,
    metrics: tuple[str, ...] = METRICS,
) -> list[Bucket]:
    """At most `points` buckets of equal width over start <= timestamp < end, oldest first; empty ones are left out."""
    raise NotImplementedError


async def latest(store: Store) -> dict[int, SampleRow]:
    """The newest sample of every machine that has one: read once, when the hub starts."""
    raise NotImplementedError


async def recent(store: Store, since: datetime, per_machine: int = 300) -> dict[int, list[SampleRow]]:
    """Samples of every machine from `since` on, oldest first: for the sparklines of a hub that has just started."""
    raise NotImplementedError


def delete_samples_before(before: datetime, limit: int = 20_000) -> Write:
    """Delete some of what is older; repeat until `rowcount` is below `limit` (one big delete would hold up writes)."""
    raise NotImplementedError
