"""Rates between two looks: processor and network."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.system_monitor import network, sensors
from tests.device import trees


def test_the_counters_of_a_tree(tmp_path: Path) -> None:
    root = trees.linux(tmp_path)
    assert sensors.cpu_times(root) == sensors.CpuTimes(busy=1600, total=10000)
    counted = {"eth0": network.NetworkBytes(1_000_000, 200_000), "wlan0": network.NetworkBytes(50_000, 10_000)}
    assert network.read(root) == counted, "no loopback, no bridge"
    assert sensors.cpu_times(tmp_path / "no") is None
    assert network.read(tmp_path / "no") is None


T = sensors.CpuTimes


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
    reading = sensors.cpu_usage(before, after)
    assert reading.value == value
    assert (value is None) == bool(reading.reason)


def counters(**interfaces: tuple[int, int]) -> network.Counters:
    return {name: network.NetworkBytes(*both) for name, both in interfaces.items()}


def test_network_rates() -> None:
    before, after = counters(eth0=(1000, 10), wlan0=(0, 0)), counters(eth0=(3000, 20), wlan0=(1000, 0))
    received, sent = network.rates(before, after, 2.0)
    assert (received.value, sent.value) == (1500.0, 5.0)


def test_an_interface_that_comes_or_goes_is_no_burst() -> None:
    received, sent = network.rates(
        counters(eth0=(0, 0), usb0=(9, 9)), counters(eth0=(50, 10), wwan0=(10**9, 10**9)), 1.0
    )
    assert (received.value, sent.value) == (50.0, 10.0)
    assert network.rates(counters(eth0=(0, 0)), counters(ppp0=(10**9, 1)), 1.0)[0].value is None


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        (None, counters(eth0=(1, 1)), 1.0),
        (counters(eth0=(1, 1)), None, 1.0),
        (counters(eth0=(9, 9)), counters(eth0=(1, 10)), 1.0),
        (counters(eth0=(1, 1)), counters(eth0=(2, 2)), 0.0),
    ],
)
def test_no_rate_without_two_good_looks(
    before: network.Counters | None, after: network.Counters | None, seconds: float
) -> None:
    received, sent = network.rates(before, after, seconds)
    assert received.value is sent.value is None
    assert received.reason
    assert received.reason == sent.reason
