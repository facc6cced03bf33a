"""The hub's folder on this computer: made for this user alone, and for one hub at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from db.ownership import FileLock, Owner
from hub.settings import Settings

LOCK_FILE: Final = "hub.lock"


@asynccontextmanager
async def data_folder(settings: Settings, owner: Owner) -> AsyncIterator[None]:
    """Make it, and keep every other hub off it. It holds the database and what is recorded. Raises InUse, OSError."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = await FileLock.take(settings.data_dir / LOCK_FILE, owner, "data folder")
    try:
        yield
    finally:
        lock.release()
