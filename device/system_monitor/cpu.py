"""How busy the processor was between two looks at /proc/stat."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from device.system_monitor.reading import Reading, absent, percent, text_of


class CpuTimes(NamedTuple):
    """Clock ticks since boot, of all cores together."""

    busy: int
    total: int


def cpu_times(root: Path) -> CpuTimes | None:
    """The counters now; None when the kernel does not show them."""
    first_line = (text_of(root / "proc/stat") or "").partition("\n")[0].split()
    if len(first_line) < 5 or first_line[0] != "cpu":
        return None
    try:
        # user nice system idle iowait irq softirq steal; guest time is already counted in user
        ticks = [int(word) for word in first_line[1:9]]
    except ValueError:
        return None
    idle = sum(ticks[3:5])
    return CpuTimes(busy=sum(ticks) - idle, total=sum(ticks))


def cpu_usage(before: CpuTimes | None, after: CpuTimes | None) -> Reading:
    """Percent of all cores that were busy between two looks."""
    if after is None:
        return absent("no processor counters")
    if before is None:
        return absent("first look, a rate needs two")
    passed = after.total - before.total
    if passed <= 0:
        return absent("the processor counters did not move")
    return Reading(percent(after.busy - before.busy, passed))
