"""When a certificate's end is worth a warning, and when it ends. Values and `now` in, values out; standard library
only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, NamedTuple

SOON: Final = timedelta(days=30)
VERY_SOON: Final = timedelta(days=7)
Expiry = Literal["", "soon", "very_soon", "expired"]
_BEFORE: Final[tuple[tuple[Expiry, timedelta], ...]] = (
    ("expired", timedelta(0)), ("very_soon", VERY_SOON), ("soon", SOON),
)  # fmt: skip
_VERSION: Final = 0xA0
_TIMES: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}
"""UTCTime and GeneralizedTime, as RFC 5280 has them."""


def expiry(ends: datetime, now: datetime) -> Expiry:
    return next((name for name, before in _BEFORE if ends - now <= before), "")


def since(ends: datetime, now: datetime) -> datetime:
    """From when the warning of now holds; of none, when the next one begins."""
    return max((ends - before for _, before in _BEFORE if ends - before <= now), default=ends - SOON)


def next_change(ends: datetime, now: datetime) -> datetime | None:
    """When the warning is another; None: it has expired."""
    return min((ends - before for _, before in _BEFORE if ends - before > now), default=None)


def days_left(ends: datetime, now: datetime) -> int:
    """Whole days; negative once it has expired."""
    return (ends - now + timedelta(seconds=1)).days  # certificates know no fractions


class _Element(NamedTuple):
    tag: int
    content: bytes


def ends_at(certificate: bytes) -> datetime:
    """Of a DER certificate. Raises ValueError."""
    try:
        (signed, *_) = _elements(next(_elements(certificate)).content)
        members = [one for one in _elements(signed.content) if one.tag != _VERSION]
        _, end = _elements(members[3].content)  # after serial number, algorithm and issuer
        found = datetime.strptime(end.content.decode("ascii"), _TIMES[end.tag]).replace(tzinfo=timezone.utc)
    except (ValueError, IndexError, KeyError, StopIteration) as wrong:
        raise ValueError("no certificate") from wrong
    # Of two digits, 50 to 68 are 1950 to 1968 here, and 2050 to 2068 for strptime.
    is_last_century = end.tag == 0x17 and found.year >= 2050
    return found.replace(year=found.year - 100) if is_last_century else found


def _elements(content: bytes) -> Iterator[_Element]:
    """The DER elements that follow each other in it. Raises IndexError, ValueError."""
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size], "big"), at + size
        if not 0 <= length <= len(content) - at:
            raise ValueError("cut off")
        yield _Element(tag, content[at : at + length])
        at += length
