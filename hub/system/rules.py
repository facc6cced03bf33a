"""Judges what the hub knows of itself. Values in, values out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

LEAST_FREE_BYTES: Final = 500_000_000
LEAST_FREE_SHARE: Final = 0.05
BACKUP_AGE: Final = timedelta(days=7)
"""An older backup of the hub is worth a warning."""
LAG_S: Final = 0.25
"""With a later turn than this, one in twenty, browsers see it."""
QUEUE: Final = 20_000
"""Samples that wait for the database: ten of its commits."""
STALLED_S: Final = 3.0


class SystemFacts(NamedTuple):
    """`free_bytes` None: not known. `backed_up_at`: the newest backup of the hub itself. `full_at`: when the backups of
    machines reach their quota, if that is near. `tls`: what is wrong with certificates of the hub."""

    lag_p95_s: float
    waiting: int
    stalled_s: float
    free_bytes: int | None
    total_bytes: int | None
    backed_up_at: datetime | None
    full_at: datetime | None
    tls: tuple[str, ...] = ()


def warnings(facts: SystemFacts, now: datetime) -> list[str]:
    """Codes, worst first."""
    found = []
    if facts.stalled_s > STALLED_S:
        found.append("database_away")
    found += facts.tls
    if facts.free_bytes is not None and facts.total_bytes is not None:
        least = max(LEAST_FREE_BYTES, LEAST_FREE_SHARE * facts.total_bytes)
        found += ["disk_low"] if facts.free_bytes < least else []
    if facts.waiting > QUEUE:
        found.append("queue_long")
    if facts.lag_p95_s > LAG_S:
        found.append("lagging")
    if facts.full_at is not None:
        found.append("backups_full")
    if facts.backed_up_at is None:
        found.append("never_backed_up")
    elif now - facts.backed_up_at > BACKUP_AGE:
        found.append("backup_old")
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


class LoadMark(NamedTuple):
    """Counts since the start at one moment of the monotonic clock."""

    at_s: float
    frames: int
    samples: int


def per_second(marks: Sequence[LoadMark]) -> tuple[float, float]:
    """Frames and samples between the first mark and the last."""
    passed = marks[-1].at_s - marks[0].at_s if marks else 0.0
    if passed <= 0:
        return 0.0, 0.0
    return (marks[-1].frames - marks[0].frames) / passed, (marks[-1].samples - marks[0].samples) / passed
