"""Seals what the hub itself must read: no database, dump or backup of the hub opens it. The key is a file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography.fernet import Fernet, InvalidToken

logger = logging.getLogger("myrvm.sealing")


class Seal:
    """By the key in `file`, of the data folder; it is made when something is sealed for the first time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = anyio.Lock()
        self._fernet: Fernet | None = None

    async def close(self, text: str) -> str:
        """Raises OSError, ValueError."""
        return (await self._key()).encrypt(text.encode()).decode()

    async def open(self, sealed: str) -> str | None:
        """None: with another key, as after a restore on another computer."""
        try:
            return (await self._key()).decrypt(sealed.encode()).decode()
        except (InvalidToken, OSError, ValueError) as error:
            logger.warning("what is sealed cannot be opened with %s: %s", self._file, error or "it is another key")
            return None

    async def _key(self) -> Fernet:
        async with self._lock:
            if self._fernet is None:
                self._fernet = Fernet(await anyio.to_thread.run_sync(self._read_or_make))
            return self._fernet

    def _read_or_make(self) -> bytes:
        """Whole or not at all: half a key, of a hub that was killed meanwhile, would stay."""
        if not self._file.exists():
            whole = self._file.with_name(f".{self._file.name}")
            made = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(made, "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            whole.replace(self._file)
        return self._file.read_bytes().strip()
