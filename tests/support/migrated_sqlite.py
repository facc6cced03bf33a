"""An SQLite file of the newest schema, migrated once a process and copied for whoever needs an empty database."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from db.engine.migrate import upgrade


def copy_of_migrated_sqlite(path: Path) -> Path:
    """Put one at `path`, unless something is there; returns `path`."""
    if not path.exists():
        shutil.copy(_migrated(), path)
    return path


@cache
def _migrated() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    upgrade(f"sqlite:///{folder}/empty.sqlite3")
    return folder / "empty.sqlite3"
