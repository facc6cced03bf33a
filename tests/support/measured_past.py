"""The past of a machine for a test: samples of days in a daily wave, what it was declared to be, when it was away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from db.engine.store import Store
from db.records import StatusRow
from db.rows import SampleRow
from hub.model.changes import Change, EventHappened, Put

Away = tuple[datetime, datetime]


def wave(at: datetime) -> float:
    """0 to 1, the least at midnight UTC."""
    day = at.hour + at.minute / 60
    return 0.5 - 0.5 * math.cos(day / 24 * math.tau)


async def measure(
    store: Store, rvm_id: int, end: datetime, past: timedelta, every: timedelta, away: Sequence[Away] = ()
) -> int:
    """Kept samples of that time, the oldest first; how many. CPU 20 to 60 % and at half past of each hour 5 % more."""
    rows: list[SampleRow] = []
    at, seq = end - past, 1
    while at < end:
        if not any(left <= at < back for left, back in away):
            rows.append(_sample(rvm_id, at, seq))
            seq += 1
        at += every
    for first in range(0, len(rows), 5000):
        await store.store_samples(rows[first : first + 5000])
    return len(rows)


def _sample(rvm_id: int, at: datetime, seq: int) -> SampleRow:
    busy = wave(at)
    return SampleRow(
        rvm_id, at, 0, seq, 20 + 40 * busy + (5 if at.minute == 30 else 0), 50 + 10 * busy, 41.0, None,
        round(45 + 25 * busy, 2), 1000 + 90_000 * busy, 500 + 20_000 * busy, float(seq), None, None, False, at,
    )  # fmt: skip


def went_away(rvm_id: int, away: Sequence[Away], reason: str | None = None) -> list[Change]:
    """As the hub records it: gone, noticed a little later, and back."""
    found: list[Change] = []
    for left, back in away:
        gone = {"connection": "offline", "was": "live", "since": left.isoformat()}
        gone |= {} if reason is None else {"reason": reason}
        found.append(_event(left + timedelta(seconds=28), "connection.changed", rvm_id, gone))
        found.append(_event(back, "connection.changed", rvm_id, {"connection": "live", "was": "offline"}))
    return found


def booted(rvm_id: int, *at: datetime) -> list[Change]:
    """It came with another boot each time, the first one known before."""
    return [
        _event(when, "machine.introduced", rvm_id, {"agent_version": "1", "boot_id": f"boot {number}"})
        for number, when in enumerate(at)
    ]


def declared(rvm_id: int, *what: tuple[datetime, str, int]) -> list[Change]:
    """Since, status, capacity."""
    return [
        Put(StatusRow(rvm_id=rvm_id, status=status, capacity=capacity, since=since, by="system"))
        for since, status, capacity in what
    ]


def _event(at: datetime, code: str, rvm_id: int, params: dict[str, str]) -> EventHappened:
    return EventHappened(at=at.astimezone(timezone.utc), code=code, actor="clock", rvm_id=rvm_id, params=params)
