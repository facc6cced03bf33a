"""Cells of CSV files, so that a spreadsheet runs none of them; pure, and read back as they were."""

from __future__ import annotations

import re
from typing import Final

SEPARATORS: Final = {"comma": ",", "semicolon": ";", "tab": "\t"}
SEPARATOR_OF: Final = {"en": "comma", "id": "semicolon"}
"""Where a comma is a decimal mark, a semicolon parts cells."""
SEPARATOR_LINE: Final = "sep="
_RUN: Final = r"=+\-@\uff1d\uff0b\uff0d\uff20"
"""Begins a formula, also in full width."""
_QUOTED: Final = re.compile(rf"'*[{_RUN}\t\r\n]")
_BEGIN: Final = r"[;\t\r\n](?:[^\S\t\r\n]|\")*"
"""There a spreadsheet in Indonesian or German begins a new cell, or after it a new row: it knows no quotation marks
inside of a cell."""
_INSIDE: Final = re.compile(rf"({_BEGIN})('*[{_RUN}])")
_QUOTED_INSIDE: Final = re.compile(rf"({_BEGIN})'('*[{_RUN}])")


def opening(mark: str) -> str:
    """The line that tells a spreadsheet the separator, where it is not the comma of the format's name."""
    return "" if mark == "," else f"{SEPARATOR_LINE}{mark}\r\n"


def encoding(mark: str, *, for_spreadsheet: bool) -> str:
    """Below such a line Excel no longer heeds the byte order mark of UTF-8 and shows each letter beyond ASCII as two
    or three others; that of UTF-16 it heeds."""
    return "utf-16-le" if for_spreadsheet and opening(mark) else "utf-8"


def safe_cell(cell: object) -> str:
    """A text that a spreadsheet would run, or that looks as if this had been done to it, gets an apostrophe. Numbers
    run nothing."""
    if isinstance(cell, (int, float)):
        return str(cell)
    text = _INSIDE.sub(r"\1'\2", "" if cell is None else str(cell))
    return f"'{text}" if _QUOTED.match(text) else text


def plain_cell(text: str) -> str:
    """What `safe_cell` was given."""
    bare = text[1:] if text.startswith("'") and _QUOTED.match(text) else text
    return _QUOTED_INSIDE.sub(r"\1\2", bare)


def json_cell(text: str) -> str:
    """JSON stays JSON: what would run as a cell of its own is written by its number."""
    return _INSIDE.sub(lambda found: f"{found[1]}\\u{ord(found[2][0]):04x}{found[2][1:]}", text)
