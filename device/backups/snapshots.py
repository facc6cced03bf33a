"""Copies a SQLite database in use, by SQLite's backup interface.

The only copy a backup makes on the machine's disk, one at a time, and only where there is room."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from archive.plan import RESERVE, free_bytes

NO_ROOM: Final = "no_room"
BUSY_S: Final = 30.0
"""A database locked for longer is read as it is."""
_PAGES: Final = 1024
"""A step: a writer waits for no more."""
_PATIENCE_STEPS: Final = 3
"""Restarts by a writer before the copy is made in one step."""
_BUSY: Final = 5
_LOCKED: Final = 6
"""Python names it from 3.11 on."""


def snapshot(database: Path, copy: Path) -> str:
    """ "": `copy` is flushed to disk; else `no_room`, or SQLite's reason."""
    copy.unlink(missing_ok=True)
    needed = sum(_size(file) for file in (database, database.with_name(database.name + "-wal")))
    if free_bytes(copy.parent) < needed + RESERVE:
        return NO_ROOM
    try:
        with closing(_opened(database)) as source, closing(sqlite3.connect(copy)) as target:
            _copy(source, target)
        copy.chmod(0o600)
        handle = os.open(copy, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except (sqlite3.Error, OSError) as wrong:
        has_room = free_bytes(copy.parent) >= RESERVE
        copy.unlink(missing_ok=True)
        return (str(wrong) or type(wrong).__name__) if has_room else NO_ROOM
    finally:
        for ending in ("-journal", "-wal", "-shm"):
            copy.with_name(copy.name + ending).unlink(missing_ok=True)
    return ""


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=0.1)


class _RestartedError(Exception):
    pass


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Step by step, so that its program can write; in one step where that never ends."""
    with suppress(_RestartedError):
        source.backup(target, pages=_PAGES, progress=_watch(_PATIENCE_STEPS), sleep=0.01)
        return
    source.backup(target, pages=-1, progress=_watch(None), sleep=0.01)


def _watch(patience: int | None) -> Callable[[int, int, int], None]:
    begun = time.monotonic()
    last = None
    restarts = 0

    def watch(status: int, remaining: int, _total: int) -> None:
        nonlocal last, restarts, begun
        if status in (_BUSY, _LOCKED):
            if time.monotonic() - begun > BUSY_S:
                raise TimeoutError("locked by its own program")
            return
        begun = time.monotonic()
        if last is not None and remaining > last:
            restarts += 1
            if patience is not None and restarts > patience:
                raise _RestartedError
        last = remaining

    return watch


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
