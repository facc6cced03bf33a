"""How much a machine may make the hub write of its own accord: a burst after it was away, and so much a minute.

What it says of itself (hello, status, settings, zone) becomes lines of a record that nobody may shorten. Beyond this
its link is read more slowly, and by REST it is asked to come back later; nothing it says is lost. Values only; `at` is
monotonic seconds.
"""

from __future__ import annotations

from typing import Final

AT_ONCE: Final = 300
PER_MINUTE: Final = 60
MOST_REMEMBERED: Final = 1000
"""Machines that are remembered before those with everything left are forgotten."""


class Pace:
    """The words that each machine has left."""

    def __init__(self) -> None:
        self._left: dict[int, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._left)

    def take(self, rvm_id: int, at: float) -> float:
        """0: it may say this now. Else the seconds until it may, and nothing was taken."""
        left = self._now(rvm_id, at)
        if left < 1:
            return (1 - left) * 60 / PER_MINUTE
        if len(self._left) >= MOST_REMEMBERED and rvm_id not in self._left:
            self._left = {one: self._left[one] for one in self._left if self._now(one, at) < AT_ONCE}
        self._left[rvm_id] = (left - 1, at)
        return 0.0

    def _now(self, rvm_id: int, at: float) -> float:
        left, since = self._left.get(rvm_id, (float(AT_ONCE), at))
        return min(float(AT_ONCE), left + (at - since) * PER_MINUTE / 60)
