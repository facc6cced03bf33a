"""What the hub says of itself."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from hub.system.rules import LoadMark, SystemFacts, per_second, percentile, warnings

NOW = datetime(2026, 11, 29, 8, tzinfo=timezone.utc)
WELL = SystemFacts(
    lag_p95_s=0.01, waiting=10, stalled_s=0.0, free_bytes=90 * 10**9, total_bytes=100 * 10**9,
    backed_up_at=NOW - timedelta(days=6), full_at=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("other", "codes"),
    [
        ({}, []),
        ({"lag_p95_s": 0.3}, ["lagging"]),
        ({"waiting": 20_001}, ["queue_long"]),
        ({"stalled_s": 3.5}, ["database_away"]),
        ({"free_bytes": 4 * 10**9}, ["disk_low"]),
        ({"free_bytes": 400_000_000, "total_bytes": 10**9}, ["disk_low"]),
        ({"free_bytes": 600_000_000, "total_bytes": 10**9}, []),
        ({"free_bytes": None, "total_bytes": None}, []),
        ({"backed_up_at": None}, ["never_backed_up"]),
        ({"backed_up_at": NOW - timedelta(days=8)}, ["backup_old"]),
        ({"full_at": NOW}, ["backups_full"]),
        ({"tls": ("certificate_soon", "crl_soon"), "waiting": 20_001}, ["certificate_soon", "crl_soon", "queue_long"]),
        (
            {"stalled_s": 9.0, "waiting": 10**6, "backed_up_at": None},
            ["database_away", "queue_long", "never_backed_up"],
        ),
    ],
)
def test_what_needs_a_look(other: dict[str, Any], codes: list[str]) -> None:
    assert warnings(WELL._replace(**other), NOW) == codes


def test_a_percentile_is_a_value_that_was_there() -> None:
    assert percentile([], 0.95) == 0.0
    assert percentile([0.5], 0.95) == 0.5
    assert percentile([n / 100 for n in range(100)], 0.95) == 0.94


def test_rates_are_those_between_the_first_mark_and_the_last() -> None:
    assert per_second([]) == (0.0, 0.0)
    assert per_second([LoadMark(5.0, 9, 9)]) == (0.0, 0.0)
    assert per_second([LoadMark(5.0, 10, 100), LoadMark(6.0, 10, 100), LoadMark(10.0, 60, 110)]) == (10.0, 2.0)
