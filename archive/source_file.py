"""Reads one file for an archive, and notices when it is not what it was.

The header names its size, so exactly that many bytes are given: zeros where it got shorter or cannot be read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Final

import msgspec

from archive.attributes import extended
from archive.manifest import MAX_EXTENTS, Entry, Extent

SQLITE: Final = b"SQLite format 3\0"
_ZEROS: Final = bytes(1024 * 1024)
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileIdentity(msgspec.Struct, frozen=True, array_like=True):
    """What stays the same as long as nobody writes to a file."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def identity_of(found: os.stat_result) -> FileIdentity:
    return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class NotRegularError(OSError):
    """No regular file any more, or not in the folder where it is looked for."""


class SourceFile:
    """An open file, read once from begin to end. `extents`: what of it is stored, None for all of it. `is_real`: its
    path has no links, and one that stands there all the same (planted since it was walked) is not followed."""

    def __init__(self, path: str, *, is_real: bool = False) -> None:
        self._handle = os.open(path, _FLAGS)
        self.problem = ""
        """Why bytes are missing, in the words of the system; empty as long as none are."""
        try:
            self.stat = os.fstat(self._handle)
            if not stat.S_ISREG(self.stat.st_mode):
                raise NotRegularError(f"no regular file: {path}")
            if is_real and _opened_at(self._handle) not in (path, None):
                raise NotRegularError(f"a folder above it is a link now: {path}")
            self.identity = identity_of(self.stat)
            self.size = self.stat.st_size
            self.extents = _extents(self._handle, self.stat)
        except OSError:
            os.close(self._handle)
            raise
        self._sum = hashlib.sha256()
        self._at = 0
        self._left = list(self.extents if self.extents is not None else [(0, self.size)])

    def close(self) -> None:
        os.close(self._handle)

    def described(self, entry: Entry) -> tuple[Entry, str]:
        """With its extended attributes, and why some are left out."""
        return extended(entry, self._handle)

    @property
    def stored(self) -> int:
        """Bytes of content that the archive holds of it."""
        return self.size if self.extents is None else sum(length for _, length in self.extents)

    def begins_with(self, magic: bytes) -> bool:
        try:
            return os.pread(self._handle, len(magic), 0) == magic
        except OSError:
            return False

    def read_into(self, room: memoryview) -> int:
        """Fills as much of `room` as the next extent has."""
        offset, length = self._left[0]
        self._hole(offset)
        part = room[: min(length, len(room))]
        self._fill(part, offset)
        self._sum.update(part)
        taken = len(part)
        self._at = offset + taken
        self._left[0] = (offset + taken, length - taken)
        if taken == length:
            self._left.pop(0)
        return taken

    def skip(self, taken: int) -> None:
        """Goes on behind `taken` stored bytes that an earlier process gave: reads them again for their sum."""
        block = memoryview(bytearray(len(_ZEROS)))
        while taken:
            taken -= self.read_into(block[: min(taken, len(block))])

    def digest(self) -> str:
        """Of the content as it will be restored, holes as zeros."""
        self._hole(self.size)
        return self._sum.hexdigest()

    def changed(self) -> bool:
        return bool(self.problem) or identity_of(os.fstat(self._handle)) != self.identity

    def _fill(self, part: memoryview, offset: int) -> None:
        done = 0
        try:
            while not self.problem and done < len(part):
                count = os.preadv(self._handle, [part[done:]], offset + done)
                if not count:
                    self.problem = "shorter than it was"
                done += count
        except OSError as wrong:
            self.problem = wrong.strerror or str(wrong)
        if done < len(part):
            part[done:] = bytes(len(part) - done)

    def _hole(self, end: int) -> None:
        while self._at < end:
            count = min(len(_ZEROS), end - self._at)
            self._sum.update(memoryview(_ZEROS)[:count])
            self._at += count


def _opened_at(handle: int) -> str | None:
    """Where the kernel has an open file; None where it does not say."""
    try:
        return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 - a million times
    except OSError:
        return None


def _extents(handle: int, found: os.stat_result) -> tuple[Extent, ...] | None:
    """Where the data of a sparse file is. None for one without holes, or in more pieces than a manifest holds."""
    if found.st_blocks * 512 >= found.st_size:
        return None
    extents: list[Extent] = []
    at = 0
    try:
        while at < found.st_size:
            try:
                begin = os.lseek(handle, at, os.SEEK_DATA)
            except OSError:  # ENXIO: a hole up to the end
                break
            at = min(os.lseek(handle, begin, os.SEEK_HOLE), found.st_size)
            if begin >= found.st_size or len(extents) >= MAX_EXTENTS:
                return None
            extents.append((begin, at - begin))
    except OSError:
        return None
    return None if extents == [(0, found.st_size)] else tuple(extents)
