"""Decides when to connect again, when to fall back to HTTP, and what time it is at the hub.

Delays: full jitter, a cap, and failures that only a link that stayed up resets. A wall clock may be a day off or
jump by an hour; a command's deadline is on the hub's."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

from protocol.errors import CloseCode
from protocol.instants import parse
from protocol.limits import REPLACED_LEAST_S, REPLACED_MOST_S

CAP_S: Final = 60.0
SLOW_CAP_S: Final = 300.0
SLOW_LEAST_S: Final = 30.0
VERSION_LEAST_S: Final = 600.0
RESET_AFTER_S: Final = 30.0
"""A link live for so long resets the failures."""
MIN_SPACING_S: Final = 1.0
"""No machine tries more often."""
REPLACED: Final = frozenset({int(CloseCode.REPLACED)})
KEY_REFUSED: Final = frozenset({401, 403, int(CloseCode.NOT_AUTHENTICATED), int(CloseCode.REVOKED)})
REFUSED: Final = frozenset({401, 403, 429, int(CloseCode.NOT_AUTHENTICATED), int(CloseCode.REVOKED)})


class Kind(enum.Enum):
    UNREACHABLE = "unreachable"
    """Refused, no route, name unknown, TLS failed, no HTTP answer in time."""
    UPGRADE_FAILED = "upgrade_failed"
    """Answered, but not as a WebSocket: a middlebox, the reason for the HTTP fallback."""
    REFUSED = "refused"
    CLOSED = "closed"
    """`code`: the close code; None: the link broke."""
    RESTARTING = "restarting"
    """The hub named when to come back (`wait_s`)."""
    RENEWED = "renewed"
    """We closed it, to connect with another key at once."""


@dataclass(frozen=True)
class End:
    """`live_s` from `welcome` on (0: it never came); `wait_s`: the hub's demand."""

    kind: Kind
    detail: str
    code: int | None = None
    live_s: float = 0.0
    wait_s: float | None = None


class RetryPolicy:
    """`random` yields floats in [0, 1)."""

    def __init__(self, base_s: float, random: Callable[[], float], cap_s: float = CAP_S) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random
        self._failures = 0

    def after(self, end: End, since_attempt_s: float) -> float:
        if end.live_s >= RESET_AFTER_S:
            self._failures = 0
        delay = self._delay(end)
        self._failures += 1
        return max(delay, MIN_SPACING_S - since_attempt_s, 0.0)

    def _delay(self, end: End) -> float:
        if end.kind in (Kind.RESTARTING, Kind.RENEWED):
            self._failures = 0
            return min(end.wait_s or 0.0, SLOW_CAP_S)
        if end.code == CloseCode.NO_COMMON_VERSION:
            return self._between(VERSION_LEAST_S, 2 * VERSION_LEAST_S)
        if end.code in REPLACED:
            return self._between(REPLACED_LEAST_S, REPLACED_MOST_S)
        if end.code in REFUSED and not (end.code == 429 and end.wait_s is not None):
            ceiling = min(2 * SLOW_LEAST_S * 2.0 ** min(self._failures, 10), SLOW_CAP_S)
            return max(self._between(SLOW_LEAST_S, ceiling), min(end.wait_s or 0.0, SLOW_CAP_S))
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self._failures, 10))
        drawn = self._random() * ceiling
        if end.wait_s is not None:  # Retry-After: never before it, and spread behind it
            return min(end.wait_s, SLOW_CAP_S) + drawn
        return drawn

    def _between(self, least: float, most: float) -> float:
        return least + self._random() * (most - least)


UPGRADES_BEFORE_FALLBACK: Final = 3
"""One failed upgrade is a restart; three in a row are a middlebox."""


class FallbackRules:
    """Counts failed upgrades although something answered HTTP."""

    def __init__(self) -> None:
        self._failed_upgrades = 0

    @property
    def wanted(self) -> bool:
        return self._failed_upgrades >= UPGRADES_BEFORE_FALLBACK

    def went_live(self) -> None:
        self._failed_upgrades = 0

    def ended(self, end: End) -> None:
        """A refused key or an unreachable hub is no reason for HTTP."""
        cut_short = end.kind is Kind.CLOSED and end.live_s == 0.0 and end.code is None
        if end.kind is Kind.UPGRADE_FAILED or cut_short:
            self._failed_upgrades += 1
        elif end.kind is Kind.REFUSED:
            self._failed_upgrades = 0


class Moment(NamedTuple):
    """RFC 3339 by the machine's clock, an instant by the hub's."""

    machine: str
    hub: datetime


def parse_time(text: str) -> datetime | None:
    try:
        moment = parse(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


class HubClock:
    def __init__(self) -> None:
        self._hub_time: tuple[datetime, float] | None = None

    def synchronise(self, text: str, monotonic: float) -> None:
        moment = parse_time(text)
        if moment is not None:
            self._hub_time = (moment, monotonic)

    def now(self, monotonic: float, wall: datetime) -> datetime:
        """Our `wall` clock before the first `welcome`."""
        if self._hub_time is None:
            return wall
        moment, at = self._hub_time
        return moment + timedelta(seconds=monotonic - at)

    def offset(self, monotonic: float, wall: datetime) -> float | None:
        """Seconds ours is ahead of the hub's; None: unknown."""
        return None if self._hub_time is None else (wall - self.now(monotonic, wall)).total_seconds()
