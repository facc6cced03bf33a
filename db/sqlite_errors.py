"""sqlite3's errors in the product's words. Decides nothing but the kind: what to do about it is the callers'."""

from __future__ import annotations

import re
import sqlite3

from db.errors import Conflict, Rejected, StoreError, Unavailable

_AWAY = (
    "locked", "full", "disk i/o", "interrupted", "unable to open", "readonly", "read-only", "malformed",
    "not a database", "out of memory", "locking protocol",
)  # fmt: skip


def from_sqlite(error: Exception) -> StoreError:
    """An sqlite3 error; a broken foreign key has no column yet (SQLite does not tell which)."""
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        if match := re.fullmatch(r"UNIQUE constraint failed: (?:.*, )?\w+\.(\w+)", text):
            return Conflict(match[1])
        if text.startswith("FOREIGN KEY"):
            return Conflict("", "reference")
        return Rejected(text)
    if isinstance(error, (UnicodeError, OverflowError, sqlite3.DataError, sqlite3.InterfaceError)):
        return Rejected(text)
    if isinstance(error, (sqlite3.ProgrammingError, ValueError)) and "binding" in text:
        return Rejected(text)
    if isinstance(error, sqlite3.DatabaseError) and any(word in text.lower() for word in _AWAY):
        return Unavailable(text)
    return StoreError(text)
