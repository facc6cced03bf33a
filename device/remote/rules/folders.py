"""Decides which file a session's path names: one below a declared folder, or none.

By names only; links are excluded where files are opened."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from protocol.limits import MAX_FILE_PATH

MAX_PART: Final = 255
TEMPORARY: Final = ".rvm-upload-"
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and stand-ins of bytes that are not UTF-8."""


class PathRefusedError(Exception):
    """The stream is refused with `code`."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Pin(NamedTuple):
    """Where a declared folder was at the agent's start, and which."""

    path: str
    device: int
    inode: int


class DeclaredPath(NamedTuple):
    """Without parts: the folder itself."""

    folder: str
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else self.folder.rpartition("/")[2]


def locate(path: object, folders: Iterable[str]) -> DeclaredPath:
    """In the innermost of `folders`. Raises PathRefusedError."""
    parts = _parts(path)
    inside = [folder for folder in map(declared, folders) if folder is not None and parts[: len(folder)] == folder]
    if not inside:
        raise PathRefusedError("not_declared", "only what lies in a folder of this machine's configuration")
    folder = max(inside, key=len)
    return DeclaredPath("/" + "/".join(folder), parts[len(folder) :])


def declared(folder: str) -> tuple[str, ...] | None:
    """None: not absolute and plain, or the root of everything."""
    try:
        parts = _parts(folder.rstrip("/"))
    except PathRefusedError:
        return None
    return parts or None


def can_travel(name: str) -> bool:
    return _UNFIT.search(name) is None


def _parts(path: object) -> tuple[str, ...]:
    if not isinstance(path, str) or not 0 < len(path) <= MAX_FILE_PATH or not can_travel(path):
        raise PathRefusedError("invalid", "path: a text without control characters")
    first, *parts = path.split("/")
    if first:
        raise PathRefusedError("not_declared", "path: write it from the root on, as in /var/log/rvm/app.log")
    for part in parts:
        if part in ("", ".", ".."):
            raise PathRefusedError("not_declared", "path: without empty parts, . and ..")
        if len(part.encode(errors="replace")) > MAX_PART:
            raise PathRefusedError("not_found", "path: a name in it is too long")
        if part.startswith(TEMPORARY):
            raise PathRefusedError("not_found", "path: this name is kept for files on their way")
    return tuple(parts)
