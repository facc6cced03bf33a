"""Reads what machines measured, for pages: trends of these hours, once a hub life; a history in buckets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import anyio

from dashboard import formats
from dashboard.history_points import READ, Point
from db.engine.store import Store
from db.errors import StoreError
from db.queries import samples
from hub.kernel.context import HubContext
from hub.model.machine import Machine
from hub.model.trend import METRICS, STEP_MS, STEPS
from hub.model.views import epoch_ms

WITHIN_S: Final = 0.5
"""A page waits no longer for lines that are only drawn beside its numbers."""
STEP: Final = timedelta(milliseconds=STEP_MS)


async def complete_trends(context: HubContext, rvm_ids: Iterable[int]) -> None:
    """What is not there in time, or while the database is away, comes with the next page."""
    known = context.fleet.machines
    lacking = {rvm_id: known[rvm_id] for rvm_id in rvm_ids if rvm_id in known and not known[rvm_id].trend.complete}
    if not lacking:
        return
    last = datetime.fromtimestamp(epoch_ms(context.clock()) // STEP_MS * STEP_MS / 1000, timezone.utc)
    try:
        with anyio.fail_after(WITHIN_S):
            found = await samples.spreads(
                context.store, list(lacking), last - (STEPS - 1) * STEP, last + STEP, STEP, METRICS
            )
    except (StoreError, TimeoutError):
        return
    for rvm_id, machine in lacking.items():
        for bucket in reversed(found.get(rvm_id, ())):
            machine.trend.fill(epoch_ms(bucket.start), bucket.metrics)
        machine.trend.complete = True


CHARTED: Final = ("cpu_usage", "gpu_usage", "temperature")


async def charted(store: Store, machine: Machine, start: datetime, end: datetime) -> list[list[float | None]]:
    """Kept samples, then recent ones of memory: rows of [ms, cpu, gpu, temperature]."""
    live: list[list[float | None]] = [
        [at, *(getattr(sample, metric) for metric in CHARTED)] for at, sample in machine.recent
    ]
    first = min((row[0] for row in live if row[0] is not None), default=float("inf"))
    rows: list[list[float | None]] = []
    for bucket in await samples.history(store, machine.id, start, end, 600, CHARTED):
        at = epoch_ms(bucket.start)
        if at < first:
            rows.append([at, *(bucket.metrics[m][1] if m in bucket.metrics else None for m in CHARTED)])
    return rows + live


FINE: Final = 60_000
"""In buckets as short as this a live sample counts as well, and the bucket is when something was."""


async def measured(store: Store, machine: Machine, first: int, end: int, width: int) -> dict[str, list[Point]]:
    """By metric, in buckets of `width` ms from `first` on. Kept samples; in fine buckets then those of memory."""
    count = -(-(end - first) // width)
    live = [(at, sample) for at, sample in machine.recent if first <= at < end] if width < FINE else []
    turn = first + (min(at for at, _ in live) - first) // width * width if live else end
    found: dict[str, list[Point]] = {metric: [] for metric in READ}
    last = formats.instant(first + count * width)
    for bucket in await samples.history(store, machine.id, formats.instant(first), last, count, READ):
        at = epoch_ms(bucket.start)
        if at >= min(turn, end):
            continue
        for metric, (low, mean, high) in bucket.metrics.items():
            found[metric].append(Point(at, mean, low, high, bucket.measured[metric]))
    for metric in READ:
        found[metric] += _binned([(at, getattr(sample, metric)) for at, sample in live], first, width)
    return found


def _binned(values: Iterable[tuple[int, float | None]], first: int, width: int) -> list[Point]:
    bins: dict[int, list[float]] = {}
    for at, value in values:
        if value is not None:
            bins.setdefault((at - first) // width, []).append(value)
    return [
        Point(first + place * width, sum(known) / len(known), min(known), max(known), len(known))
        for place, known in sorted(bins.items())
    ]


async def newest_values(store: Store, machine: Machine, start: int, end: int) -> dict[str, tuple[int, float]]:
    """The last sample between the two: instant and value by metric. In memory there may be a later one than is kept."""
    kept = await samples.newest_before(store, machine.id, formats.instant(end))
    at = 0 if kept is None else epoch_ms(kept.timestamp)
    sample: Any = kept
    if machine.readings is not None and machine.readings_at is not None and at < epoch_ms(machine.readings_at) < end:
        at, sample = epoch_ms(machine.readings_at), machine.readings
    known = {} if sample is None or at < start else {metric: getattr(sample, metric) for metric in READ}
    return {metric: (at, value) for metric, value in known.items() if value is not None}


async def newest_at(store: Store, machine: Machine) -> int | None:
    """Of any time: when it measured last."""
    kept = await samples.newest_before(store, machine.id, formats.instant(2**53))
    known = [epoch_ms(at) for at in (kept and kept.timestamp, machine.readings_at) if at is not None]
    return max(known, default=None)


async def peaks(store: Store, machine: Machine, points: Mapping[str, list[Point]], width: int) -> dict[str, int]:
    """By metric, when the highest value was: of wide buckets their samples tell."""
    found: dict[str, int] = {}
    for metric, known in points.items():
        if known and width > FINE:
            top = max(known, key=lambda point: point.high)
            start, end = formats.instant(top.at), formats.instant(top.at + width)
            at = await samples.first_reaching(store, machine.id, metric, top.high, start, end)
            if at is not None:
                found[metric] = epoch_ms(at)
    return found
