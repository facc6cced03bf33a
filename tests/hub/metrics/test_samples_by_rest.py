"""Samples by REST: what is kept, what is a repeat, what is refused and named."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.metrics import rules
from hub.metrics.rules import Fault, Sorted
from hub.model.machine import Boot, Machine
from tests.support.machines import machine as plain_machine

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
AT = "2026-11-23T11:00:00Z"


def machine(**members: Any) -> Machine:
    return plain_machine(1, **members)


def take(of: Machine, *values: Any) -> tuple[Sorted, list[Fault]]:
    read, faults = rules.readable(values)
    for boot_id in rules.boots_of(read):
        of.boots.setdefault(boot_id, Boot(boot_id, 5))
    found, undated = rules.sort(of, of.boots, read, NOW, "Asia/Jakarta")
    rules.accept(of.boots, read)
    return found, faults + undated


def test_a_bad_reading_costs_that_reading() -> None:
    found, faults = take(machine(), {"timestamp": AT, "cpu_usage": 200, "memory_usage": "5", "temperature": 41.5})
    (kept,) = found.kept
    assert kept.cpu_usage is None
    assert kept.temperature == 41.5
    assert [f.field for f in faults] == ["cpu_usage", "memory_usage"]


def test_a_bad_timestamp_costs_that_sample() -> None:
    wrong: list[Any] = ["never", "0001-01-01T00:00:00Z", -1e18, None, True, 1e400, "9999-99-99", {}]
    for bad in wrong:
        found, faults = take(machine(), {"timestamp": bad, "cpu_usage": 1}, {"timestamp": AT})
        assert [(f.place, f.field) for f in faults] == [(0, "timestamp")], bad
        assert len(found.kept) == 1


def test_what_is_no_sample_is_named_by_its_place() -> None:
    found, faults = take(machine(), 5, {"cpu_usage": 1}, {"timestamp": AT})
    assert [(f.place, f.field) for f in faults] == [(0, ""), (1, "timestamp")]
    assert len(found.kept) == 1


def test_numbered_samples_at_or_below_the_mark_are_repeats() -> None:
    of = machine()
    numbered = [{"timestamp": AT, "boot_id": "b", "seq": n} for n in range(4)]
    first, _ = take(of, *numbered)
    assert [(row.boot, row.seq) for row in first.kept] == [(5, 0), (5, 1), (5, 2), (5, 3)]
    again, _ = take(of, *numbered[2:], {"timestamp": AT, "boot_id": "b", "seq": 4})
    assert again.duplicates == 2
    assert [row.seq for row in again.kept] == [4]
    assert of.boots["b"].accepted == 4


def test_the_same_number_or_time_twice_in_one_upload_is_kept_once() -> None:
    found, _ = take(machine(), {"timestamp": AT}, {"timestamp": AT}, *[{"timestamp": AT, "boot_id": "b", "seq": 1}] * 2)
    assert found.duplicates == 2
    assert sorted((row.boot, row.seq) for row in found.kept) == [(0, 0), (5, 1)]


def test_boot_and_number_belong_together() -> None:
    found, faults = take(machine(), {"timestamp": AT, "seq": 1}, {"timestamp": AT, "boot_id": "b"})
    assert not found.kept
    assert [f.field for f in faults] == ["boot_id", "seq"]


def test_a_naive_time_is_read_in_the_machines_zone() -> None:
    found, _ = take(machine(timezone="Asia/Makassar"), {"timestamp": "2026-11-23T11:00:00"})
    assert found.kept[0].timestamp == datetime(2026, 11, 23, 3, tzinfo=timezone.utc)
    found, _ = take(machine(), {"timestamp": "2026-11-23T11:00:00"})
    assert found.kept[0].timestamp == datetime(2026, 11, 23, 4, tzinfo=timezone.utc)


def test_a_clock_far_ahead_is_clamped_and_counted() -> None:
    ahead = (NOW + timedelta(minutes=11)).isoformat()
    found, _ = take(machine(), {"timestamp": ahead})
    assert found.clamped == 1
    assert found.kept[0].timestamp == NOW


def test_the_newest_is_the_one_to_show() -> None:
    found, _ = take(machine(), {"timestamp": AT, "cpu_usage": 2}, {"timestamp": "2026-11-23T10:00:00Z", "cpu_usage": 1})
    assert found.newest is not None
    assert found.newest.cpu_usage == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["timestamp", "cpu_usage", "temperature", "seq", "boot_id", "reasons", "throttled", "x"])


@given(st.lists(json_values | st.dictionaries(members, json_values | st.just(AT)), max_size=5))
def test_whatever_comes_nothing_non_finite_or_out_of_range_is_kept(values: list[Any]) -> None:
    found, _ = take(machine(), *values)
    for row in found.kept:
        assert row.timestamp.tzinfo is not None
        assert row.timestamp <= NOW + timedelta(minutes=10)
        for name in ("cpu_usage", "memory_usage", "disk_usage", "gpu_usage"):
            value = getattr(row, name)
            assert value is None or (math.isfinite(value) and 0 <= value <= 100)


def test_of_numbered_samples_the_last_number_is_the_newest_also_where_the_clock_was_set_back() -> None:
    numbered = [
        {"timestamp": at, "boot_id": "a", "seq": seq, "cpu_usage": seq}
        for seq, at in ((1, AT), (2, "2026-10-24T08:00:00Z"))
    ]
    found, _ = take(machine(), *numbered)
    assert found.newest is not None
    assert found.newest.cpu_usage == 2
