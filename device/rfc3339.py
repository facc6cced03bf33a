"""A moment as the wire writes it."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> str:
    """RFC 3339 in UTC with milliseconds, e.g. 2026-11-23T06:30:00.000Z."""
    return rfc3339(datetime.now(timezone.utc))


def rfc3339(moment: datetime) -> str:
    """A moment in UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
