"""Opens SQLite files, for the writer, readers and migrations; sqlite3's errors as ours."""

from __future__ import annotations

import math
import re
import sqlite3
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from db.errors import Conflict, Rejected, StoreError, Unavailable, Unsuitable

_AWAY = (
    "locked", "full", "disk i/o", "interrupted", "unable to open", "readonly", "read-only", "malformed",
    "not a database", "out of memory", "locking protocol",
)  # fmt: skip


def from_sqlite(error: Exception) -> StoreError:
    """A broken foreign key has no column yet (SQLite does not name it)."""
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


LEAST_VERSION = (3, 35, 0)
"""With RETURNING. Ubuntu 20.04 has 3.31, Debian 11 has 3.34."""


def check_library(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> None:
    """Before anything is written. Raises Unsuitable."""
    if version < LEAST_VERSION:
        shown, least = (".".join(map(str, each)) for each in (version, LEAST_VERSION))
        raise Unsuitable("sqlite", f"SQLite {shown} is older than {least}", version=shown, least=least)


BUSY_MS = 4000
READ_S = 4.5
_OPCODES_BETWEEN_LOOKS = 10_000

_COMMON = (f"PRAGMA busy_timeout={BUSY_MS}", "PRAGMA foreign_keys=ON", "PRAGMA temp_store=MEMORY")
# FULL: a commit is on the disk when it returns. NORMAL may lose the last ones with the power.
# The writer moves the log into the file itself, between two commits, instead of SQLite within one.
_WRITER = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA cache_size=-16000",
)


def path_of(url: str) -> Path:
    """Of `sqlite:///PATH`, undecoded: spaces, % and ? are part of the name."""
    return Path(url.split(":///", 1)[1])


class ReadConnection(sqlite3.Connection):
    """Gives up a statement after READ_S, and for good when it is interrupted: also one that only begins then."""

    _deadline = math.inf
    _interrupted = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_progress_handler(self._is_late, _OPCODES_BETWEEN_LOOKS)
        for pragma in (*_COMMON, "PRAGMA query_only=ON"):
            self.execute(pragma)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if any(isinstance(value, datetime) for value in parameters):
            raise ValueError("`databases` converts no element of a list: an instant would be compared as text")
        self._deadline = time.monotonic() + READ_S
        return super().execute(sql, parameters)

    def interrupt(self) -> None:
        self._interrupted = True
        super().interrupt()

    def _is_late(self) -> bool:
        return self._interrupted or time.monotonic() > self._deadline


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256, check_same_thread=False)
    try:
        for pragma in (*_COMMON, *_WRITER):
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
