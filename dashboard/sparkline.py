"""The small line beside a number: the last four hours of one reading as an SVG path, broken where nothing came.
`sparkline.js` goes on drawing it, on a grid: one step to the right is five minutes, the height is 16 steps."""

from __future__ import annotations

import math
from collections.abc import Iterable

STEP_MS = 300_000
STEPS = 48
HEIGHT = 16
GAP_STEPS = 2
"""So many steps apart two points are joined: at one sample in five minutes, one is missing."""


def gap_of(interval_s: float) -> int:
    """For a machine that keeps a sample so often."""
    return max(GAP_STEPS, math.ceil(1.5 * interval_s * 1000 / STEP_MS))


def path(
    points: Iterable[tuple[int, float | None]], now: int, low: float = 0, high: float = 100, gap: int = GAP_STEPS
) -> str:
    """`points` are (epoch ms, value), oldest first."""
    drawn: list[str] = []
    last: tuple[int, int] | None = None
    for x, y in _grid(points, now, low, high):
        if last is None or x - last[0] > gap:
            # A point alone would be invisible: a line of no length with round ends is a dot.
            drawn.append(f"M{x} {y}h0")
        else:
            drawn.append(f"l{x - last[0]} {y - last[1]}")  # a hundred of these pack better than places
        last = x, y
    return "".join(drawn)


def _grid(points: Iterable[tuple[int, float | None]], now: int, low: float, high: float) -> Iterable[tuple[int, int]]:
    kept: dict[int, int] = {}
    for at, value in points:
        x = STEPS - 1 + at // STEP_MS - now // STEP_MS
        if value is None or not 0 <= x < STEPS:
            continue
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        kept[x] = HEIGHT - round(share * HEIGHT)
    return sorted(kept.items())
