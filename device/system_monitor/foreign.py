"""Processor and memory where there is no /proc (a developer's Mac), by psutil; never loaded on Linux."""

from __future__ import annotations

from device.system_monitor.cpu import CpuTimes
from device.system_monitor.reading import Reading, percent


def foreign_cpu_times() -> CpuTimes:
    """Busy and total time since boot, in hundredths of a second."""
    import psutil  # type: ignore[import-untyped]

    times = psutil.cpu_times()
    total = int(100 * sum(times))
    return CpuTimes(busy=total - int(100 * (times.idle + getattr(times, "iowait", 0.0))), total=total)


def foreign_memory() -> Reading:
    """Percent of memory taken."""
    import psutil

    figures = psutil.virtual_memory()
    return Reading(percent(figures.total - figures.available, figures.total))
