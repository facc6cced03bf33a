"""When the next sample is due, and for whom: history (kept) or somebody who watches (live). Takes monotonic `now`."""

from __future__ import annotations

from typing import Final, NamedTuple

from protocol.limits import LIVE_LEAST_S, LIVE_MOST_S

FIRST_SAMPLE_AFTER_S: Final = 0.5
"""Rates need two looks: the first sample follows the first look by this, so that a new machine is seen at once."""


class Due(NamedTuple):
    kept: bool
    live: bool


class SamplingPlan:
    """Two independent rhythms; a missed beat is skipped, never made up for in a burst."""

    def __init__(self, kept_interval: float, now: float) -> None:
        self._kept_interval = kept_interval
        self._kept_at = now + min(FIRST_SAMPLE_AFTER_S, kept_interval)
        self._live_interval = 0.0
        self._live_at = float("inf")

    @property
    def live_interval(self) -> float:
        """Seconds between live samples, 0 = nobody watches."""
        return self._live_interval

    def keep(self, interval: float, now: float) -> None:
        """Keep one every `interval` seconds from now on, the first soon; infinite: none."""
        if interval != self._kept_interval:
            self._kept_interval = interval
            self._kept_at = now + (interval if interval == float("inf") else min(FIRST_SAMPLE_AFTER_S, interval))

    def watch(self, interval: float, now: float) -> bool:
        """Somebody watches every `interval` seconds (0 = nobody), within the bounds of the wire whatever is asked for.
        True when this begins a new watch."""
        begins = interval > 0 and self._live_interval == 0
        interval = min(max(interval, LIVE_LEAST_S), LIVE_MOST_S) if interval > 0 else 0.0
        if interval <= 0:
            self._live_at = float("inf")
        elif interval != self._live_interval:
            self._live_at = now + min(FIRST_SAMPLE_AFTER_S, interval)
        self._live_interval = interval
        return begins

    def next_at(self) -> float:
        """The monotonic moment of the next beat."""
        return min(self._kept_at, self._live_at)

    def take(self, now: float) -> Due:
        """Which samples are due at `now`; their next beats are set."""
        due = Due(kept=now >= self._kept_at, live=now >= self._live_at)
        if due.kept:
            self._kept_at = _next_beat(self._kept_at, self._kept_interval, now)
        if due.live:
            self._live_at = _next_beat(self._live_at, self._live_interval, now)
        return due


def _next_beat(last: float, interval: float, now: float) -> float:
    following = last + interval
    return following if following > now else now + interval
