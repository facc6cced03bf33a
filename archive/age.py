"""Encryption in the age format: identities and recipients as text, and a stream that is decrypted while it is read.

pyrage writes into a file object: a thread and a pipe hold 64 KiB at most.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from archive.errors import DAMAGED, WRONG_KEY, ArchiveError

MAGIC: Final = b"age-encryption.org/v1\n"
MAX_IDENTITY_FILE: Final = 64 * 1024
_PREFIX: Final = "AGE-SECRET-KEY-1"


class Readable(Protocol):
    """What bytes are taken from: fewer than asked for only at the end."""

    def read(self, size: int, /) -> bytes: ...


def make_identity() -> tuple[str, str]:
    """A new key pair: the identity, which opens, and its recipient (`age1...`), which anybody may know."""
    from pyrage import x25519

    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def recipient_of(identity: str) -> str:
    """The public half. Raises ArchiveError for what is no identity."""
    from pyrage import IdentityError, x25519

    try:
        return str(x25519.Identity.from_str(identity).to_public())
    except IdentityError as wrong:
        raise ArchiveError(WRONG_KEY, "this is no age identity: it begins with AGE-SECRET-KEY-1") from wrong


def read_identities(file: Path) -> tuple[str, ...]:
    """The identities of a file as `age-keygen` writes it: one a line, `#` begins a comment. Raises ArchiveError."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_IDENTITY_FILE).decode("utf-8", "replace")
    except OSError as error:
        raise ArchiveError(WRONG_KEY, f"the identity file {file} cannot be read: {error.strerror}") from error
    found = tuple(line.strip() for line in text.splitlines() if line.strip().startswith(_PREFIX))
    if not found:
        raise ArchiveError(WRONG_KEY, f"{file} holds no age identity: a line that begins with {_PREFIX}")
    for identity in found:
        recipient_of(identity)
    return found


class Decrypted:
    """Reads what `source` holds encrypted. `close` ends the thread, also where only a part was read."""

    def __init__(self, source: Readable, identities: Sequence[str]) -> None:
        if not identities:
            raise ArchiveError(WRONG_KEY, "the archive is encrypted: an identity is needed to open it")
        from pyrage import x25519

        self._keys = [x25519.Identity.from_str(identity) for identity in identities]
        self._failure: Exception | None = None
        reading, writing = os.pipe()
        self._reading = os.fdopen(reading, "rb")
        self._thread = threading.Thread(target=self._decrypt, args=(source, writing), name="decrypt", daemon=True)
        self._thread.start()

    def read(self, size: int, /) -> bytes:
        """Raises ArchiveError at the end of what could be decrypted, never hands it out as the whole."""
        data = self._reading.read(size)
        if len(data) < size:
            self._thread.join()
            if self._failure is not None:
                raise self._failure
        return data

    def close(self) -> None:
        self._reading.close()
        self._thread.join()

    def _decrypt(self, source: Readable, writing: int) -> None:
        import pyrage

        reader = _SourceReader(source)
        try:
            with os.fdopen(writing, "wb", buffering=0) as writer:
                pyrage.decrypt_io(cast("BinaryIO", reader), cast("BinaryIO", _PipeWriter(writer)), self._keys)
        except pyrage.DecryptError as wrong:
            code = WRONG_KEY if "No matching keys" in str(wrong) else DAMAGED
            detail = "no identity at hand opens it" if code == WRONG_KEY else f"it cannot be decrypted: {wrong}"
            self._failure = ArchiveError(code, detail)
        except BrokenPipeError:
            pass  # closed by who read it
        except (OSError, ValueError) as error:
            self._failure = ArchiveError(DAMAGED, f"it cannot be decrypted: {error}")
        self._failure = reader.failure or self._failure  # pyrage makes its own of what the source raised


class _SourceReader:
    """The form that pyrage takes: `read` alone."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.failure: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._source.read(size if size > 0 else io.DEFAULT_BUFFER_SIZE)
        except (ArchiveError, OSError) as error:
            self.failure = error
            raise


class _PipeWriter:
    """Writes all of it: a raw file may take less."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        return len(data)

    def flush(self) -> None:
        return
