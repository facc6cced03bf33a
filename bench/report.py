"""How every command prints: the hub's figure beside the bare one of the same run, the median of the ratios last."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import meter


def heading(title: str) -> None:
    say(f"{title}")
    say(f"  {_processor()}, {len(os.sched_getaffinity(0))} cores, Python {sys.version.split()[0]}; server on one core")


def say(line: str) -> None:
    print(line, flush=True)


def step(what: str) -> None:
    """What takes long, on standard error: whoever waits sees that it goes on."""
    print(f"  … {what}", file=sys.stderr, flush=True)


def row(name: str, values: Sequence[float], unit: str = "", digits: int = 1) -> None:
    """A figure: median (least to most)."""
    middle, least, most = meter.median(values), min(values), max(values)
    say(f"  {name:<44} {middle:>12,.{digits}f} {unit:<10} ({least:,.{digits}f} to {most:,.{digits}f})")


def ratio(name: str, ours: Sequence[float], bare: Sequence[float], goal: str) -> float:
    """The median of the ratios of runs made side by side."""
    quotients = [a / b if b else 0.0 for a, b in zip(ours, bare, strict=True)]
    middle = meter.median(quotients)
    say(f"  {name:<44} {middle:>12,.2f} x          ({min(quotients):,.2f} to {max(quotients):,.2f})   goal {goal}")
    return middle


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown processor"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "some processor")
