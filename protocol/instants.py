"""RFC 3339 texts as instants, the same on both ends and on every Python.

Also as found in the wild: a space for the `T`, `t` and `z`, no seconds, a comma or any number of digits in a
fraction, an offset without its colon. A leap second is the first moment of the next minute. No date alone and no
week: they name no instant."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

_TEXT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


def parse(text: str) -> datetime:
    """Aware when the text has an offset. Raises ValueError, or OverflowError at the calendar's end."""
    if text[10:11] == "T" and text[13:14] == ":" and text[4:5] == "-" and text[7:8] == "-":
        try:
            return datetime.fromisoformat(text)  # in a tenth of the time; Python 3.10 knows few of the spellings
        except ValueError:
            pass
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 instant")
    day, minute, second, fraction, offset = found.groups()
    leap = second == "60"
    clock = f"{minute}:{'59' if leap else second or '00'}.{(fraction or '0')[:6].ljust(6, '0')}"
    at = datetime.fromisoformat(f"{day}T{clock}{_offset(offset)}")
    return _after_leap(at) if leap else at


def _offset(written: str | None) -> str:
    if written is None or written in "Zz":
        return "" if written is None else "+00:00"
    digits = written[1:].replace(":", "").ljust(4, "0")
    return f"{written[0]}{digits[:2]}:{digits[2:]}"


def _after_leap(at: datetime) -> datetime:
    utc = at.astimezone(timezone.utc) if at.tzinfo else at
    if utc.minute != 59 or (at.tzinfo and utc.hour != 23):
        raise ValueError("no leap second is inserted there")
    return at + timedelta(seconds=1)
