"""What a process costs, read from /proc: CPU seconds and resident memory; and the summaries every command prints."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes and all their living and reaped children."""
    return sum(_cpu(pid) for pid in _with_children(pids))


def rss_bytes(pids: Iterable[int]) -> int:
    return sum(int(_status(pid).get("VmRSS", "0 kB").split()[0]) * 1024 for pid in pids)


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; 0.0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _with_children(pids: Iterable[int]) -> set[int]:
    wanted = set(pids)
    parents = dict(_parents())
    grew = True
    while grew:
        grown = wanted | {pid for pid, parent in parents.items() if parent in wanted}
        grew, wanted = grown != wanted, grown
    return wanted


def _parents() -> Iterable[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                yield int(entry.name), int(fields[1])


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, so that [0] is the state; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
