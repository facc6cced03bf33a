"""The TLS context of outgoing connections: the system's trust, with one concession to an impossible clock.

A machine without a battery boots in 1970, when no certificate is valid. While its clock shows a day before this
agent was written, validity dates are not checked; name and chain are."""

from __future__ import annotations

import ssl
import time
from datetime import datetime, timezone
from typing import Final

WRITTEN: Final = datetime(2026, 11, 1, tzinfo=timezone.utc).timestamp()
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME; Python has no name for it."""


def clock_is_impossible() -> bool:
    return time.time() < WRITTEN


def context() -> ssl.SSLContext:
    made = ssl.create_default_context()
    if clock_is_impossible():
        made.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return made
