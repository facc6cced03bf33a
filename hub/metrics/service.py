"""Completes the trends of machines that a page shows with what the database has of these hours, once a hub life."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Final

import anyio

from db.engine.store import Store
from db.errors import StoreError
from db.queries import samples
from hub.model.machine import Machine
from hub.model.trend import METRICS, STEP_MS, STEPS
from hub.model.views import epoch_ms

WITHIN_S: Final = 0.5
"""A page waits no longer for lines that are only drawn beside its numbers."""
STEP: Final = timedelta(milliseconds=STEP_MS)


async def complete_trends(store: Store, machines: Iterable[Machine], now: datetime) -> None:
    """What is not there in time, or while the database is away, comes with the next page."""
    lacking = {machine.id: machine for machine in machines if not machine.trend.complete}
    if not lacking:
        return
    last = datetime.fromtimestamp(epoch_ms(now) // STEP_MS * STEP_MS / 1000, timezone.utc)
    try:
        with anyio.fail_after(WITHIN_S):
            found = await samples.spreads(store, list(lacking), last - (STEPS - 1) * STEP, last + STEP, STEP, METRICS)
    except (StoreError, TimeoutError):
        return
    for rvm_id, machine in lacking.items():
        for bucket in reversed(found.get(rvm_id, ())):
            machine.trend.fill(epoch_ms(bucket.start), bucket.metrics)
        machine.trend.complete = True
