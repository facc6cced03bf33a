"""What happened in folders, also what was undone before anybody looked: the kernel's own record."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

EVENTS: Final = {
    0x2: "modified", 0x4: "attributes", 0x40: "moved from", 0x80: "moved to", 0x100: "created", 0x200: "deleted",
    0x400: "itself deleted", 0x800: "itself moved",
}  # fmt: skip
OVERFLOW: Final = 0x4000
_HEAD: Final = struct.Struct("iIII")
_ONE_READ: Final = 1 << 20


@contextlib.contextmanager
def watched(*folders: Path) -> Iterator[Callable[[], list[str]]]:
    """Calling it says what happened in these folders themselves, not below, since the block began. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        names: dict[int, Path] = {}
        for folder in folders:
            watch = libc.inotify_add_watch(descriptor, os.fsencode(folder), sum(EVENTS))
            if watch < 0:
                raise OSError(ctypes.get_errno(), f"inotify_add_watch {folder}")
            names[watch] = folder
        yield lambda: list(_events(descriptor, names))
    finally:
        os.close(descriptor)


def _events(descriptor: int, names: dict[int, Path]) -> Iterator[str]:
    while True:
        try:
            data = os.read(descriptor, _ONE_READ)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _cookie, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            name = os.fsdecode(data[at - length : at].rstrip(b"\0"))
            assert not mask & OVERFLOW, "more happened than the kernel kept"
            if words := [word for bit, word in EVENTS.items() if mask & bit]:
                yield f"{', '.join(words)}: {names[watch] / name}"
