"""What readings say, at and around each limit."""

from __future__ import annotations

import pytest

from hub.model.effective_settings import Limits
from hub.model.presence import judge_readings
from tests.support.machines import sample


@pytest.mark.parametrize(
    ("readings", "level", "codes"),
    [
        ({}, "ok", []),
        ({"temperature": 79.99, "cpu_usage": 89.9, "memory_usage": 89.9, "disk_usage": 89.9}, "ok", []),
        ({"temperature": 80.0}, "warning", ["temperature"]),
        ({"temperature": 89.9}, "warning", ["temperature"]),
        ({"temperature": 90.0}, "critical", ["temperature"]),
        ({"cpu_usage": 90.0}, "warning", ["cpu_usage"]),
        ({"cpu_usage": 100.0}, "critical", ["cpu_usage"]),
        ({"memory_usage": 95.0, "disk_usage": 91.0}, "warning", ["memory_usage", "disk_usage"]),
        ({"disk_usage": 100.0, "temperature": 81.0}, "critical", ["disk_usage", "temperature"]),
        ({"gpu_usage": 100.0}, "ok", []),
    ],
)
def test_the_worst_reading_gives_the_level_and_every_reason_is_named(
    readings: dict[str, float], level: str, codes: list[str]
) -> None:
    found, reasons = judge_readings(sample(**readings), Limits())
    assert (found, [reason.code for reason in reasons]) == (level, codes)


def test_a_reason_carries_value_and_limit() -> None:
    _, (reason,) = judge_readings(sample(temperature=84.5), Limits(temperature=70.0))
    assert reason._asdict() == {"code": "temperature", "value": 84.5, "limit": 70.0}
