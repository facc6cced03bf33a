"""The last hours of a machine's readings, coarse and small: the little line beside a number. Knows no database."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

STEP_MS: Final = 300_000
"""Kept samples come every 300 s unless the settings say otherwise."""
STEPS: Final = 48
"""Four hours."""
METRICS: Final = ("cpu_usage", "memory_usage", "disk_usage", "gpu_usage", "temperature")
_values: Final = attrgetter(*METRICS)
_KINDS: Final = 3
"""Of each metric the lowest, the highest and the newest of a step."""
_ROW: Final = len(METRICS) * _KINDS


class TrendPoint(NamedTuple):
    """`at`: epoch ms of the step's beginning."""

    at: int
    low: float
    high: float
    newest: float


class Trend:
    """Of each metric the lowest, highest and newest reading of each step. Bound: STEPS of _ROW single floats, 3 kB."""

    __slots__ = ("_cells", "_newest", "complete")

    def __init__(self) -> None:
        self._cells = array("f", [math.nan]) * (STEPS * _ROW)
        self._newest = -1
        self.complete = False
        """What the database has of these hours is in it."""

    def add(self, at_ms: int, readings: Any) -> None:
        """Add the newest sample. What is in it and dated later was of a clock that was ahead and has been put right: it
        goes."""
        step = at_ms // STEP_MS
        if step != self._newest:
            if step > self._newest + 1:
                self.complete = False  # what the machine kept meanwhile comes late, into the database alone
            self._let_go(step)
        # Written out: this runs for every sample. An empty cell is NaN, which compares as neither.
        cells, cell = self._cells, (step % STEPS) * _ROW
        for value in _values(readings):
            if value is not None:
                if not cells[cell] <= value:
                    cells[cell] = value
                if not cells[cell + 1] >= value:
                    cells[cell + 1] = value
                cells[cell + 2] = value
            cell += _KINDS

    def fill(self, at_ms: int, spreads: Mapping[str, tuple[float, float, float]]) -> None:
        """Fill in an older step from the database: lowest, average and highest of each metric."""
        step = at_ms // STEP_MS
        if self._newest < 0:
            self._newest = step
        if not self._newest - STEPS < step <= self._newest:
            return
        for place, metric in enumerate(METRICS):
            if metric in spreads and math.isnan(self._cells[self._at(step, place)]):
                low, average, high = spreads[metric]
                self._put(step, place, low, high, average)

    def points(self, metric: str, now_ms: int) -> list[TrendPoint]:
        """The steps up to now that have a reading, oldest first."""
        place, last = METRICS.index(metric), now_ms // STEP_MS
        found = []
        for step in range(max(self._newest, last) - STEPS + 1, self._newest + 1):
            cell = self._at(step, place)
            low, high, newest = self._cells[cell : cell + _KINDS]
            if not math.isnan(newest) and step > last - STEPS:
                found.append(TrendPoint(step * STEP_MS, low, high, newest))
        return found

    def _let_go(self, step: int) -> None:
        """Empty the cells that the step takes over, and those of all steps after it."""
        first, last = (self._newest + 1, step) if step >= self._newest else (step + 1, self._newest)
        self._clear(range(first, last + 1) if last - first < STEPS else range(STEPS))
        self._newest = step

    def _clear(self, steps: Iterable[int]) -> None:
        for step in steps:
            cell = self._at(step, 0)
            self._cells[cell : cell + _ROW] = array("f", [math.nan]) * _ROW

    def _put(self, step: int, place: int, low: float, high: float, newest: float) -> None:
        cell = self._at(step, place)
        # min and max of a NaN and a number depend on their order: an empty cell takes the number.
        empty = math.isnan(self._cells[cell])
        self._cells[cell] = low if empty else min(self._cells[cell], low)
        self._cells[cell + 1] = high if empty else max(self._cells[cell + 1], high)
        self._cells[cell + 2] = newest

    @staticmethod
    def _at(step: int, place: int) -> int:
        return (step % STEPS) * _ROW + place * _KINDS
