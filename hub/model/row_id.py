"""Reads the ids of rows out of addresses and forms."""

from __future__ import annotations

from typing import Final

MAX_ROW_ID: Final = 2**31 - 1
"""What an INTEGER column of PostgreSQL holds: more in a query is an error there, and no row has it."""


def whole_number(text: str, most: int) -> int | None:
    """The number written in ASCII digits without a sign, from 0 to `most`; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if number <= most else None


def row_id(text: str) -> int | None:
    return whole_number(text, MAX_ROW_ID)
