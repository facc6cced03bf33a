"""What the configuration file says of one simulated machine, what its role means, and how it tells a moment."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Final

import msgspec

SERVICES: Final = ("myrvm-vision.service", "myrvm-motor.service")
"""What runs on a simulated machine and may be restarted; a new time zone wants both."""
FILLING: Final = frozenset({"normal", "hot", "busy", "guessing", "misconfigured", "slow", "unpermitted"})
"""The roles that take bottles."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of the configuration file."""

    device_id: str
    api_key: str
    role: str = "normal"
    name: str = ""
    timezone: str = ""
    """IANA name of the zone it stands in; empty: one of Indonesia's three."""
    city: str = ""


def rfc3339(unix_s: float) -> str:
    text = datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def moment(text: str) -> float:
    """Unix seconds of an RFC 3339 text; the far future when it cannot be read (nothing expires by a slip)."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return math.inf
