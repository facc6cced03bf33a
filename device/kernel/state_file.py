"""Small files that are old or new, never half: written beside, flushed, renamed; checked when read."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises OSError, and then the old file stands."""
    beside = path.with_name(path.name + ".new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def write_value(path: Path, value: object) -> None:
    body = msgspec.json.encode(value)
    write_bytes(path, b"%08x\n%s\n" % (zlib.crc32(body), body))


def read_value(path: Path, kind: type[T]) -> T | None:
    """The value in the file; None: missing, damaged, or not a `kind`."""
    try:
        checksum, _, rest = path.read_bytes().partition(b"\n")
        body = rest.removesuffix(b"\n")
        return msgspec.json.decode(body, type=kind) if int(checksum, 16) == zlib.crc32(body) else None
    except (OSError, ValueError, msgspec.DecodeError, RecursionError):
        return None


def sync_folder(folder: Path) -> None:
    """Have names that were created, renamed or removed survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Root writes as the user whose folder it is: that user can read it, and a link that they put there leads root
    nowhere. For the command line, which has one thread."""
    try:
        owner = folder.stat()
    except FileNotFoundError:
        yield  # it is about to make the folder
        return
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
