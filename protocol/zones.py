"""Which words name a time zone: the names of the IANA database, and nothing that only looks like one."""

from __future__ import annotations

import functools
import zoneinfo


@functools.lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    # What an operating system adds to the folder is no zone a machine can be set to.
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "posixrules", "Factory"}


def is_zone(name: str) -> bool:
    """Whether `name` is in the IANA database, exactly: no path, no other case, no surrounding space."""
    return name in _names()
