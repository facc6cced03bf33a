"""When the zone is looked up next: every interval with jitter, sooner after an attempt that found nothing, at once
when what it depends on has changed. Takes monotonic `now`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

JITTER: Final = 0.1
"""A fleet that was started together does not ask together for ever."""
FIRST_RETRY_S: Final = 60.0


class SyncRhythm:
    """`random` yields floats in [0, 1)."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._enabled = True
        self._interval = float("inf")
        self._last: float | None = None
        self._spread = 1.0
        self._failures = 0

    def set_interval(self, enabled: bool, interval: float) -> None:
        """From now on, counted from the last attempt."""
        self._enabled, self._interval = enabled, interval

    def at_once(self) -> None:
        """What the last attempt found is out of date."""
        self._last = None

    def attempted(self, now: float, *, found: bool) -> None:
        """An attempt ended at `now`."""
        self._last = now
        self._spread = 1.0 + JITTER * (2 * self._random() - 1)
        self._failures = 0 if found else self._failures + 1

    def due(self) -> float:
        """The monotonic moment of the next attempt: in the past for at once, infinite for never."""
        if not self._enabled:
            return float("inf")
        if self._last is None:
            return float("-inf")
        delay = self._interval
        if self._failures:
            delay = min(delay, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 20))
        return self._last + delay * self._spread
