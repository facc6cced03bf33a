"""What time it is at the hub, told from its `welcome` and our monotonic clock.

A machine's wall clock may be a day off or jump by an hour (reliability.md, bar 29); a command's deadline is the hub's.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from protocol.instants import parse


class Moment(NamedTuple):
    """One moment on two clocks: RFC 3339 text by the machine's, an instant by the hub's."""

    machine: str
    hub: datetime


def parse_time(text: str) -> datetime | None:
    """The aware instant of an RFC 3339 text, None when it is none."""
    try:
        moment = parse(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


class HubClock:
    """The hub's clock, as far as we know it."""

    def __init__(self) -> None:
        self._told: tuple[datetime, float] | None = None

    def told(self, text: str, monotonic: float) -> None:
        """The hub said its time; a time that cannot be read changes nothing."""
        moment = parse_time(text)
        if moment is not None:
            self._told = (moment, monotonic)

    def now(self, monotonic: float, wall: datetime) -> datetime:
        """The hub's time at `monotonic`; our own `wall` clock as long as the hub has not spoken."""
        if self._told is None:
            return wall
        moment, at = self._told
        return moment + timedelta(seconds=monotonic - at)

    def offset(self, monotonic: float, wall: datetime) -> float | None:
        """Seconds our clock is ahead of the hub's, None when unknown."""
        return None if self._told is None else (wall - self.now(monotonic, wall)).total_seconds()
