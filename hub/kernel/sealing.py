"""Seals what the hub itself must read: no database, dump or backup of the hub opens it. The key is a file."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography.fernet import Fernet, InvalidToken

logger = logging.getLogger("myrvm.sealing")


class Seal:
    """Encrypts with the key in `file`, which lies in the data folder and is made when something is sealed for the first
    time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = anyio.Lock()
        self._fernet: Fernet | None = None

    async def close(self, text: str) -> str:
        """Encrypt. Raises OSError or ValueError where the key cannot be read or made."""
        return (await self._key(self._read_or_make)).encrypt(text.encode()).decode()

    async def open(self, sealed: str) -> str | None:
        """Decrypt. None: the key is missing, or is another one, as after a restore on another computer. Makes no key:
        the right file may be put there while the hub runs, and is read then."""
        try:
            with contextlib.suppress(InvalidToken):
                return (await self._key(self._file.read_bytes)).decrypt(sealed.encode()).decode()
            self._fernet = await _read(self._file.read_bytes)
            return self._fernet.decrypt(sealed.encode()).decode()
        except (InvalidToken, OSError, ValueError) as error:
            why = str(error) or "it is another key"
            logger.warning("what is sealed cannot be opened with %s: %s", self._file, why)
            return None

    async def _key(self, read: Callable[[], bytes]) -> Fernet:
        async with self._lock:
            if self._fernet is None:
                self._fernet = await _read(read)
            return self._fernet

    def _read_or_make(self) -> bytes:
        """Write the key whole or not at all: half a key, left by a hub that was killed, would stay."""
        if not self._file.exists():
            whole = self._file.with_name(f".{self._file.name}")
            made = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(made, "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            whole.replace(self._file)
        return self._file.read_bytes()


async def _read(read: Callable[[], bytes]) -> Fernet:
    return Fernet((await anyio.to_thread.run_sync(read)).strip())
