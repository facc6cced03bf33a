"""Completes the trends of machines that a page shows with what the database has of these hours, once a hub life."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Final

import anyio

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
