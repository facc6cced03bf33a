"""The instants a caller names: bounds of a search, the end of a status. Taken as written, however long ago.

A machine's stamp of 1970 means a clock that was never set (`hub.core.dating.date`); a person's means 1970.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final

from hub.core.dating import UndatableError, read
from hub.core.views import rfc3339
from hub.web.api_v2.operation import Call
from hub.web.problems import one_wrong

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIRST, LAST = datetime(1000, 1, 1, tzinfo=timezone.utc), datetime(9998, 12, 31, tzinfo=timezone.utc)
"""Beyond them nothing ever happened, and at the edges of the calendar no zone of a reader could hold the instant."""
_EDGES: Final = {"0001": "1000", "9999": "9998"}
"""What programs say for "always" and "never", as years that every zone can hold."""


def bound(call: Call, member: str, text: str | None, zone: str | None = None) -> datetime | None:
    """The instant in UTC, or None for none; a naive one is read in `zone`, else in the hub's default zone,
    and a date alone is its first moment there. One before FIRST means FIRST, one after LAST means LAST.
    Raises the 422 that names `member`."""
    if text is None:
        return None
    found = _read(call, member, _EDGES.get(text[:4], text[:4]) + text[4:], zone)
    return min(max(found, FIRST), LAST)


def ahead(call: Call, member: str, text: str, zone: str | None = None) -> str:
    """The instant as RFC 3339 text in UTC; one that has passed is refused, and one after LAST."""
    found = _read(call, member, text, zone)
    if found > LAST:
        raise one_wrong(member, "expect.time")
    if found <= call.now:
        raise one_wrong(member, "until_past")
    return rfc3339(found)


def _read(call: Call, member: str, text: str, zone: str | None) -> datetime:
    try:
        return read(f"{text}T00:00" if _DAY.fullmatch(text) else text, zone, call.context.settings.default_timezone)
    except UndatableError as wrong:
        raise one_wrong(member, "expect.time") from wrong
