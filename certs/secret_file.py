"""Reads a file that holds a secret: a password, a machine's key, a private key. Refuses, with a code, what everybody
on the computer may read. Standard library only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

MOST: Final = 64 * 1024
"""Bytes: a chain of certificates beside a key."""
LOOSE: Final = 0o027
"""Rights of others; a group may read (`ssl-cert`, a mounted secret), not write."""
_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class SecretFileError(Exception):
    """`code`: missing, unreadable, folder, exposed, mark (a byte order mark), empty, long, lines (more than one, or
    no UTF-8). `why`: the system's word for the first two."""

    def __init__(self, code: str, path: Path, why: str = "") -> None:
        super().__init__(f"{path}: {code}{why and f' ({why})'}")
        self.code = code
        self.path = path
        self.why = why


def read_secret(path: Path) -> str:
    """Its one line. Raises SecretFileError."""
    try:
        text = look_at(path).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SecretFileError("lines", path) from error
    if not text.strip():
        raise SecretFileError("empty", path)
    if any(sign in text for sign in "\r\n\x00"):
        raise SecretFileError("lines", path)
    return text


def look_at(path: Path) -> bytes:
    """All of it, for a private key that a library reads itself. Raises SecretFileError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # What is not a plain file (a pipe from another program) is nobody else's.
            if stat.S_ISREG(mode) and mode & LOOSE:
                raise SecretFileError("exposed", path)
            content = file.read(MOST + 1)
    except IsADirectoryError as error:
        raise SecretFileError("folder", path) from error
    except FileNotFoundError as error:
        raise SecretFileError("missing", path, error.strerror or "") from error
    except OSError as error:
        raise SecretFileError("unreadable", path, error.strerror or "") from error
    if len(content) > MOST:
        raise SecretFileError("long", path)
    if content.startswith(_MARKS):
        raise SecretFileError("mark", path)
    if not content.strip():
        raise SecretFileError("empty", path)
    return content
