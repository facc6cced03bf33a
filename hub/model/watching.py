"""Decides how often each machine sends live samples, from what open pages watch. `now` is monotonic seconds.

A watch not renewed ends by itself, so a browser that died wakes no machine for long. Knows no socket and no link.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.limits import LIVE_LEAST_S, LIVE_MOST_S

WATCH_S: Final = 30.0
WATCHES_PER_VIEWER: Final = 16
"""More is somebody playing. The oldest watch makes room."""


@dataclass(frozen=True)
class LiveWatch:
    """`rvm_id` None: the whole fleet, as far as `reach` goes (None: all machines)."""

    rvm_id: int | None
    interval: float
    until: float
    reach: frozenset[int] | None

    def covers(self, rvm_id: int) -> bool:
        if self.rvm_id is not None:
            return self.rvm_id == rvm_id
        return self.reach is None or rvm_id in self.reach


class Watching:
    """`viewer`: any number that names one connection of one browser."""

    def __init__(self) -> None:
        # Bound: WATCHES_PER_VIEWER an open page.
        self._watches: dict[int, dict[int | None, LiveWatch]] = {}
        # Bound: one a machine.
        self._told: dict[int, float] = {}

    def watch(
        self, viewer: int, rvm_id: int | None, interval: float, now: float, *, reach: frozenset[int] | None = None
    ) -> None:
        """Take or renew a watch on one machine, or on the fleet (None); `interval` is clamped to 1-60 s."""
        own = self._watches.setdefault(viewer, {})
        own.pop(rvm_id, None)
        if len(own) >= WATCHES_PER_VIEWER:
            del own[next(iter(own))]
        own[rvm_id] = LiveWatch(rvm_id, min(max(interval, LIVE_LEAST_S), LIVE_MOST_S), now + WATCH_S, reach)

    def unwatch(self, viewer: int) -> None:
        self._watches.pop(viewer, None)

    def interval(self, rvm_id: int, now: float) -> float:
        """The smallest anybody wants, 0.0 when nobody watches."""
        wanted = [watch.interval for watch in self._live(now) if watch.covers(rvm_id)]
        return min(wanted, default=0.0)

    def settle(self, now: float, fleet: Iterable[int]) -> dict[int, float]:
        """Ends what ran out; the machines whose interval is another than at the last `settle`."""
        self._end_expired(now)
        intervals = self._intervals(fleet, now) if self._watches else {}
        moved = {rvm_id: each for rvm_id, each in intervals.items() if self._told.get(rvm_id, 0.0) != each}
        moved.update({rvm_id: 0.0 for rvm_id in self._told if rvm_id not in intervals})
        self._told = intervals
        return moved

    def _intervals(self, fleet: Iterable[int], now: float) -> dict[int, float]:
        known = set(fleet)
        intervals: dict[int, float] = {}
        for watch in self._live(now):
            if watch.rvm_id is not None:
                covered: Iterable[int] = (watch.rvm_id,) if watch.rvm_id in known else ()
            else:
                covered = known if watch.reach is None else known & watch.reach
            for rvm_id in covered:
                intervals[rvm_id] = min(intervals.get(rvm_id, LIVE_MOST_S), watch.interval)
        return intervals

    def _live(self, now: float) -> Iterable[LiveWatch]:
        return [watch for own in self._watches.values() for watch in own.values() if watch.until > now]

    def _end_expired(self, now: float) -> None:
        for viewer, own in list(self._watches.items()):
            for rvm_id, watch in list(own.items()):
                if watch.until <= now:
                    del own[rvm_id]
            if not own:
                del self._watches[viewer]
