"""Reads a machine's timestamp as an instant of the hub's calendar.

RFC 3339 text (a naive one in the machine's zone) or Unix seconds or milliseconds. More than ten minutes ahead: clamped
to the hub's clock. Before 2000: not a time, except 1970, a clock that was never set: the hub's clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from protocol.instants import parse
from protocol.limits import MAX_CLOCK_AHEAD_S

UTC: Final = timezone.utc
AHEAD: Final = timedelta(seconds=MAX_CLOCK_AHEAD_S)
OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
BELIEVED_S: Final = 60.0
"""A clock no further behind does: an age is not as exact."""
MILLISECONDS_FROM: Final = 1e11
"""As seconds it would be the year 5138."""


class Dated(NamedTuple):
    """`clamped`: `at` is the hub's clock, because the timestamp could not be right."""

    at: datetime
    clamped: bool


class UndatableError(ValueError): ...


def date(stamp: str | float, now: datetime, zone: str | None, fallback: str) -> Dated:
    """The instant of a timestamp, clamped where need be. `zone`: the machine's own, if known; else `fallback`. Raises
    UndatableError."""
    at = read(stamp, zone, fallback)
    return Dated(at, False) if OLDEST <= at <= now else settle(at, now)


def settle(at: datetime, now: datetime) -> Dated:
    """An instant out of the usual range: as it is, clamped to the hub's clock, or refused with UndatableError."""
    if at > now:
        return Dated(now, True) if at - now > AHEAD else Dated(at, False)
    if at >= OLDEST:
        return Dated(at, False)
    if at.year in (1969, 1970):
        return Dated(now, True)
    raise UndatableError("before the year 2000")


def by_hub(at: datetime, received: datetime, offset: float | None) -> datetime:
    """The instant, by the hub's clock, of what a machine dated `at` and the hub received at `received`. `offset`: of
    the machine's clock from the hub's; a clock that is behind is put right, and nothing is dated after it came."""
    if offset is None or offset > -BELIEVED_S:
        return at
    return min(at - timedelta(seconds=offset), received)


def read(stamp: str | float, zone: str | None, fallback: str) -> datetime:
    """The instant as it was sent, however wrong. Raises UndatableError."""
    try:
        if not isinstance(stamp, str):
            return datetime.fromtimestamp(stamp / 1000 if abs(stamp) > MILLISECONDS_FROM else stamp, UTC)
        at = parse(stamp)
        if at.tzinfo is UTC:
            return at
        return (at.replace(tzinfo=_zone(zone, fallback)) if at.tzinfo is None else at).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UndatableError("not an RFC 3339 instant or Unix time") from error


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo | None:
    """The zone of an IANA name, read once each; None: there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _zone(name: str | None, fallback: str) -> tzinfo:
    return (find_zone(name) if name else None) or find_zone(fallback) or UTC
