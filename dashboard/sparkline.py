"""The last five minutes of a reading as an SVG path, broken where nothing came. `sparkline.js` goes on drawing it on
the same grid: a step to the right is 5 s, the height is 16 steps."""

from __future__ import annotations

from collections.abc import Iterable

WINDOW_MS = 300_000
STEP_MS = 5_000
STEPS = WINDOW_MS // STEP_MS
HEIGHT = 16
GAP_STEPS = 4
"""At one sample every 5 s."""


def path(points: Iterable[tuple[int, float | None]], now: int, low: float = 0, high: float = 100) -> str:
    """`points`: (ms, value), oldest first."""
    drawn: list[str] = []
    last: tuple[int, int] | None = None
    for x, y in _grid(points, now, low, high):
        if last is None or x - last[0] > GAP_STEPS:
            # A point alone would be invisible: a line of no length with round ends is a dot.
            drawn.append(f"M{x} {y}h0")
        else:
            drawn.append(f"l{x - last[0]} {y - last[1]}")  # a hundred of these pack better than places
        last = x, y
    return "".join(drawn)


def _grid(points: Iterable[tuple[int, float | None]], now: int, low: float, high: float) -> Iterable[tuple[int, int]]:
    kept: dict[int, int] = {}
    for at, value in points:
        x = STEPS - round((now - at) / STEP_MS)
        if value is None or not 0 <= x <= STEPS:
            continue
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        kept[x] = HEIGHT - round(share * HEIGHT)
    return sorted(kept.items())
