"""Reads a file that holds a secret: a password, a machine's key, a private key. Refuses, with a code, what everybody
on the computer may read. Standard library only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
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
    content = read_guarded(path, LOOSE, "exposed", SecretFileError)
    if content.startswith(_MARKS):
        raise SecretFileError("mark", path)
    if not content.strip():
        raise SecretFileError("empty", path)
    return content


def read_guarded(path: Path, rights: int, code: str, error: Callable[[str, Path, str], Exception]) -> bytes:
    """At most MOST bytes. Raises `error(code, path, why)`: `code` when others have one of `rights`, else missing,
    unreadable, folder, long."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # What is not a plain file (a pipe from another program) is nobody else's.
            if stat.S_ISREG(mode) and mode & rights:
                raise error(code, path, "")
            content = file.read(MOST + 1)
    except IsADirectoryError as failure:
        raise error("folder", path, "") from failure
    except FileNotFoundError as failure:
        raise error("missing", path, failure.strerror or "") from failure
    except OSError as failure:
        raise error("unreadable", path, failure.strerror or "") from failure
    if len(content) > MOST:
        raise error("long", path, "")
    return content
