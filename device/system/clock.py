"""The machine's clock: present time for the wire, and whether somebody (NTP, PTP, GPS) corrects it, by the kernel."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final


def utc_now() -> str:
    """RFC 3339 in UTC, e.g. 2026-11-23T06:30:00.000Z."""
    return rfc3339(datetime.now(timezone.utc))


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


WORST_ERROR_US: Final = 16_000_000
"""The kernel's estimated error once nobody has corrected it for long."""


class _Timex(ctypes.Structure):
    """Begin of `struct timex` (adjtimex(2)); the rest is room."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    ]


def is_synchronised() -> bool | None:
    """None: unknown to the kernel."""
    ask = _adjtimex()
    if ask is None:
        return None
    timex = _Timex(modes=0)  # changes nothing, and so needs no privilege
    state = ask(ctypes.byref(timex))
    return None if state < 0 else timex.maxerror < WORST_ERROR_US


@functools.lru_cache(maxsize=1)
def _adjtimex() -> Callable[..., int] | None:
    if sys.platform != "linux" or os.name != "posix":
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_int
    return function
