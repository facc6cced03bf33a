"""Decides when the next sample is due, and how far kept ones have travelled on a link. Takes monotonic `now`.

A sent frame proves nothing: only an acknowledgement moves `acked`. What is unacknowledged for long is sent again;
the hub drops what it has."""

from __future__ import annotations

from typing import Final, NamedTuple

from protocol.limits import LIVE_LEAST_S, LIVE_MOST_S, REPLAY_SAMPLES_PER_S

FIRST_SAMPLE_AFTER_S: Final = 0.5
"""Rates need two looks."""


class Due(NamedTuple):
    kept: bool
    live: bool


class SamplingPlan:
    """When the next kept and the next live sample are due: two independent rhythms. A missed beat is skipped."""

    def __init__(self, kept_interval: float, now: float) -> None:
        self._kept_interval = kept_interval
        self._kept_at = now + min(FIRST_SAMPLE_AFTER_S, kept_interval)
        self._live_interval = 0.0
        self._live_at = float("inf")

    @property
    def live_interval(self) -> float:
        """Seconds between live samples; 0: nobody watches."""
        return self._live_interval

    def keep(self, interval: float, now: float) -> None:
        """Take kept samples at this interval, the first one soon; infinite: none."""
        if interval != self._kept_interval:
            self._kept_interval = interval
            self._kept_at = now + (interval if interval == float("inf") else min(FIRST_SAMPLE_AFTER_S, interval))

    def watch(self, interval: float, now: float) -> bool:
        begins = interval > 0 and self._live_interval == 0
        interval = min(max(interval, LIVE_LEAST_S), LIVE_MOST_S) if interval > 0 else 0.0
        if interval <= 0:
            self._live_at = float("inf")
        elif interval != self._live_interval:
            self._live_at = now + min(FIRST_SAMPLE_AFTER_S, interval)
        self._live_interval = interval
        return begins

    def next_at(self) -> float:
        return min(self._kept_at, self._live_at)

    def take(self, now: float) -> Due:
        due = Due(kept=now >= self._kept_at, live=now >= self._live_at)
        if due.kept:
            self._kept_at = _next_beat(self._kept_at, self._kept_interval, now)
        if due.live:
            self._live_at = _next_beat(self._live_at, self._live_interval, now)
        return due


def _next_beat(last: float, interval: float, now: float) -> float:
    following = last + interval
    return following if following > now else now + interval


WINDOW_FRAMES: Final = 4
PACE_S: Final = 0.2
"""5 frames/s leave most of the hub's 20/s to live samples and results."""
RESEND_AFTER_S: Final = 60.0
RESEND_CAP_S: Final = 600.0


def pause_after(samples: int) -> float:
    return max(PACE_S, samples / REPLAY_SAMPLES_PER_S)


class Replay:
    """How far kept samples have come on one link. `acked`: the highest acknowledged seq, `sent`: the highest sent."""

    def __init__(self, acked: int) -> None:
        self.acked = acked
        self.sent = acked
        # Bound: WINDOW_FRAMES.
        self._under_way: list[int] = []
        self._progress_at: float | None = None
        self._resend_after_s = RESEND_AFTER_S

    def may_send(self, now: float) -> bool:
        if self._under_way and self._progress_at is not None and now - self._progress_at >= self._resend_after_s:
            self._resend_after_s = min(2 * self._resend_after_s, RESEND_CAP_S)
            self._under_way.clear()
            self.sent = self.acked
        return len(self._under_way) < WINDOW_FRAMES

    def resend_in(self, now: float) -> float:
        if not self._under_way or self._progress_at is None:
            return float("inf")
        return max(0.0, self._progress_at + self._resend_after_s - now)

    def unanswered_s(self, now: float) -> float:
        """Without an acknowledgement, with a frame under way; else 0."""
        return 0.0 if not self._under_way or self._progress_at is None else now - self._progress_at

    def was_sent(self, seq: int, now: float) -> None:
        if not self._under_way:
            self._progress_at = now
        self._under_way.append(seq)
        self.sent = seq

    def was_acked(self, seq: int, now: float) -> None:
        if seq <= self.acked:
            return
        self.acked = seq
        self.sent = max(self.sent, seq)
        self._under_way = [last for last in self._under_way if last > seq]
        self._progress_at = now
        self._resend_after_s = RESEND_AFTER_S
