"""Rates between two looks: processor and network."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.system_monitor import cpu, network
from tests.device import trees


def test_the_counters_of_a_tree(tmp_path: Path) -> None:
    root = trees.linux(tmp_path)
    assert cpu.read(root) == cpu.CpuTimes(busy=1600, total=10000)
    assert network.read(root) == network.NetworkBytes(1_050_000, 210_000), "no loopback, no bridge"
    assert cpu.read(tmp_path / "no") is None
    assert network.read(tmp_path / "no") is None


T = cpu.CpuTimes


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (T(0, 0), T(50, 200), 25.0),
        (T(10, 100), T(110, 200), 100.0),
        (T(100, 100), T(90, 200), 0.0),  # iowait may run backwards
        (T(0, 100), T(200, 200), 100.0),
        (None, T(1, 1), None),
        (T(1, 1), None, None),
        (T(5, 5), T(5, 5), None),
        (T(5, 500), T(1, 10), None),
    ],
)
def test_processor_use(before: T | None, after: T | None, value: float | None) -> None:
    reading = cpu.usage(before, after)
    assert reading.value == value
    assert (value is None) == bool(reading.reason)


N = network.NetworkBytes


def test_network_rates() -> None:
    received, sent = network.rates(N(1000, 10), N(3000, 20), 2.0)
    assert (received.value, sent.value) == (1000.0, 5.0)


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [(None, N(1, 1), 1.0), (N(1, 1), None, 1.0), (N(9, 9), N(1, 10), 1.0), (N(1, 1), N(2, 2), 0.0)],
)
def test_no_rate_without_two_good_looks(before: N | None, after: N | None, seconds: float) -> None:
    received, sent = network.rates(before, after, seconds)
    assert received.value is sent.value is None
    assert received.reason
