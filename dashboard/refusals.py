"""Why a machine refuses a setting, in the reader's language; it sends `code: sentence`, in English. Pure. An unknown
code stays as sent."""

from __future__ import annotations

import re
from typing import Final

from dashboard.foreign_text import plain
from dashboard.reader import Reader

MOST: Final = 200
_CODED: Final = re.compile(r"([a-z][a-z0-9_]{0,39}):\s+(\S.*)", re.DOTALL)
_DETAILS: Final = {
    "environment": re.compile(r"\(([A-Za-z0-9_]{1,80})\)"),
    "out_of_bounds": re.compile(r"from (-?[0-9.e+]{1,20}) to (-?[0-9.e+]{0,19}[0-9])"),
    "too_many": re.compile(r"([0-9]{1,6})"),
}


def why(r: Reader, sent: str) -> str:
    found = _CODED.fullmatch(sent)
    if found is None:
        return plain(sent, MOST)
    code, sentence = found.groups()
    if f"refusal.{code}" not in r.t:
        return plain(sentence, MOST)
    words = r.t(f"refusal.{code}")
    detail = _DETAILS[code].search(sentence) if code in _DETAILS else None
    return words if detail is None else f"{words} ({' … '.join(detail.groups())})"
