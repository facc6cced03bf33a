"""Makes text from a machine harmless to read: one line, nothing invisible that acts, an end. Templates escape HTML."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

MOST: Final = 200
_ENDS: Final = 8
"""Combining marks on one letter; more tower over the line."""
_JOINERS: Final = frozenset("\u200c\u200d")
"""Invisible, but needed by some languages."""
_ISOLATE: Final = "\u2068"
_END: Final = "\u2069"


def plain(value: object, most: int = MOST) -> str:
    text = value if isinstance(value, str) else shown(value)
    cut = len(text) > most
    text = "".join(_letters(text[:most]))
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text):
        text = f"{_ISOLATE}{text}{_END}"
    return f"{text}…" if cut else text


def shown(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _letters(text: str) -> Any:
    marks = 0
    for letter in text:
        kind = unicodedata.category(letter)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks > _ENDS:
            continue
        if letter in "\t\n\r" or kind in ("Zl", "Zp"):
            yield " "
        elif kind in ("Cc", "Cs") or (kind == "Cf" and letter not in _JOINERS):
            yield "\ufffd"
        else:
            yield letter
