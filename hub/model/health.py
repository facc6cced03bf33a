"""Judges readings: ok, warning or critical, with the reasons. An absent reading counts for nothing."""

from __future__ import annotations

from hub.model.effective_settings import Limits
from hub.model.machine import HealthReason
from protocol.messages import Sample

CRITICAL_ABOVE = 10.0
"""A reading this far beyond its warning limit is critical."""



def judge_readings(sample: Sample, limits: Limits) -> tuple[str, tuple[HealthReason, ...]]:
    """The worst level, and every reading at or beyond its warning limit, worst first by how far beyond."""
    hot, cpu, memory, disk = sample.temperature, sample.cpu_usage, sample.memory_usage, sample.disk_usage
    # The common case is decided without building anything: this runs for every sample.
    if (
        (hot is None or hot < limits.temperature)
        and (cpu is None or cpu < limits.cpu_usage)
        and (memory is None or memory < limits.memory_usage)
        and (disk is None or disk < limits.disk_usage)
    ):
        return "ok", ()
    return _reasons(
        ("temperature", hot, limits.temperature),
        ("cpu_usage", cpu, limits.cpu_usage),
        ("memory_usage", memory, limits.memory_usage),
        ("disk_usage", disk, limits.disk_usage),
    )


def _reasons(*readings: tuple[str, float | None, float]) -> tuple[str, tuple[HealthReason, ...]]:
    found = [
        HealthReason(code, value, limit) for code, value, limit in readings if value is not None and value >= limit
    ]
    found.sort(key=lambda reason: reason.limit - reason.value)
    level = "critical" if any(reason.value >= critical_limit(reason.limit) for reason in found) else "warning"
    return level, tuple(found)


def critical_limit(warning: float) -> float:
    """Ten above the warning limit. With the default of 90 % that is 100 %: a full disk is critical, a busy core only
    when it is entirely busy."""
    return warning + CRITICAL_ABOVE
