"""The instants a caller names: bounds of a search, the end of a status. Taken as written, however long ago.

A machine's stamp of 1970 means a clock that was never set (`hub.core.dating.date`); a person's means 1970.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from hub.core.dating import UndatableError, read
from hub.core.views import rfc3339
from hub.web.api_v2.operation import Call
from hub.web.problems import one_wrong

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIRST_YEAR, LAST_YEAR = 1000, 9998
"""At the edges of the calendar no zone of a reader could hold the instant, nor a year before it."""


def bound(call: Call, member: str, text: str | None, zone: str | None = None) -> datetime | None:
    """The instant in UTC, or None for none; a naive one is read in `zone`, else in the hub's default zone,
    and a date alone is its first moment there.
    Raises the 422 that names `member`."""
    if text is None:
        return None
    try:
        found = read(f"{text}T00:00" if _DAY.fullmatch(text) else text, zone, call.context.settings.default_timezone)
    except UndatableError as wrong:
        raise one_wrong(member, "expect.time") from wrong
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise one_wrong(member, "expect.time")
    return found


def ahead(call: Call, member: str, text: str, zone: str | None = None) -> str:
    """The instant as RFC 3339 text in UTC; one that has passed is refused."""
    found = bound(call, member, text, zone)
    if found is None or found <= call.now:
        raise one_wrong(member, "until_past")
    return rfc3339(found)
