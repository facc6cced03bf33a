"""Encrypts a stream in the age format. pyrage takes files, so a thread lends it two."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from archive.errors import WRONG_KEY, ArchiveError

_CHUNK: Final = 1024 * 1024
"""Bytes handed on at a time."""
_TICK_S: Final = 0.5


class _Given:
    """What is to be encrypted, as a file to read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self.failure: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                block = next(self._blocks, None)
            except BaseException as wrong:
                self.failure = wrong  # pyrage makes its own of it
                raise
            if block is None:
                return b""
            self._rest = memoryview(block)
        taken = bytes(self._rest[: size if size >= 0 else len(self._rest)])
        self._rest = self._rest[len(taken) :]
        return taken


class _UnwantedError(Exception):
    """Nobody wants the rest."""


class _Made:
    """What comes out, as a file to write."""

    def __init__(self) -> None:
        self.chunks: queue.Queue[bytes | None] = queue.Queue(maxsize=1)  # Bound: one
        self.is_unwanted = threading.Event()
        self._carry = bytearray()  # Bound: _CHUNK and what comes at once

    def write(self, data: bytes) -> int:
        self._carry += data
        if len(self._carry) >= _CHUNK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._carry:
            self.put(bytes(self._carry))
            self._carry.clear()

    def put(self, chunk: bytes | None) -> None:
        while not self.is_unwanted.is_set():
            try:
                self.chunks.put(chunk, timeout=_TICK_S)
            except queue.Full:
                continue
            return
        raise _UnwantedError


def encrypted(blocks: Iterator[bytes], recipients: Sequence[str]) -> Iterator[bytes]:
    """Raises ArchiveError for a key that is none, and whatever `blocks` raises."""
    made, keys = _Made(), _keys(recipients)
    with ThreadPoolExecutor(1, thread_name_prefix="encrypt") as pool:
        ended = pool.submit(_run, _Given(blocks), made, keys)
        try:
            while (chunk := made.chunks.get()) is not None:
                yield chunk
            ended.result()
        finally:
            made.is_unwanted.set()


def _keys(recipients: Sequence[str]) -> list[object]:
    import pyrage  # only where something is encrypted

    try:
        return [pyrage.x25519.Recipient.from_str(key.strip()) for key in recipients]
    except pyrage.RecipientError as wrong:
        raise ArchiveError(WRONG_KEY, "no age public key") from wrong


def _run(given: _Given, made: _Made, keys: list[object]) -> None:
    import pyrage

    try:
        pyrage.encrypt_io(given, made, keys)
        made.flush()
    except pyrage.EncryptError as wrong:
        raise given.failure or wrong from None
    finally:
        with suppress(_UnwantedError):
            made.put(None)
