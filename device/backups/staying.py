"""What a restore leaves on the machine because no backup holds it: what `exclude` leaves out, sockets and FIFOs.

Hard links carry it into the new tree: no room is needed, and the old tree stays whole."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from archive import attributes
from archive.source_file import SQLITE, SourceFile
from device.backups.sources import excluder
from device.backups.walk import COMPANIONS

MAX_IN_THE_WAY: Final = 60


class Staying:
    """Of one source at `root` (links resolved); paths are below it, as the disk has them."""

    def __init__(self, root: str, exclude: Sequence[str]) -> None:
        self._base = len(os.fsencode(root)) + 1
        self._is_excluded = excluder(exclude)

    def stays(self, path: bytes) -> bool:
        """Whether what stands there stays where the backup has nothing for it."""
        database = _database_of(path)
        if database is not None:  # what SQLite keeps beside a database goes with it, or stays with it
            return self._is_left_out(database)
        return self._is_left_out(path) or _is_special(path)

    def has_some(self, folder: bytes) -> bool:
        with os.scandir(folder) as found:
            entries = list(found)
        return any(
            self.stays(each.path) or (each.is_dir(follow_symlinks=False) and self.has_some(each.path))
            for each in entries
        )

    def in_the_way(self, old: bytes, new: bytes) -> Iterator[bytes]:
        """Folders of the old tree with something that stays, where the new one has no folder."""
        if not is_folder(old) or not os.path.lexists(new):
            return
        if not is_folder(new):
            if self.has_some(old):
                yield old
            return
        for name in sorted(os.listdir(old)):  # noqa: PTH208 - as the paths are kept
            if not self.stays(old + b"/" + name):
                yield from self.in_the_way(old + b"/" + name, new + b"/" + name)

    def carry_over(self, old: bytes, new: bytes) -> int:
        """Into the folder `new`; how many. Raises OSError."""
        if not is_folder(old) or not is_folder(new):
            return 0
        count = 0
        before = os.lstat(new)
        with os.scandir(old) as found:
            entries = list(found)
        for entry in entries:
            there = new + b"/" + entry.name
            if _is_beside_database(there):
                continue
            if self.stays(entry.path):
                count += _link(entry.path, there)
            elif entry.is_dir(follow_symlinks=False):
                count += self._carry_folder(entry.path, there)
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        return count

    def _carry_folder(self, old: bytes, new: bytes) -> int:
        """A folder that the backup does not have is made for what stays in it."""
        if os.path.lexists(new):
            return self.carry_over(old, new)
        if not self.has_some(old):
            return 0
        os.mkdir(new, 0o700)  # noqa: PTH102 - likewise
        count = self.carry_over(old, new)
        _dress(new, old, os.lstat(old))
        return count

    def _is_left_out(self, path: bytes) -> bool:
        """By its own name or path, or a folder's above it."""
        below = path[self._base :]
        if self._is_excluded is None or not below:
            return False
        steps = below.split(b"/")
        return any(self._is_excluded(b"/".join(steps[: at + 1]), step) for at, step in enumerate(steps))


def is_folder(path: str | bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_database(path: str | bytes) -> bool:
    """A regular file that SQLite made, no link followed."""
    try:
        with contextlib.closing(SourceFile(os.fsdecode(path))) as file:
            return file.begins_with(SQLITE)
    except OSError:
        return False


def _database_of(path: bytes) -> bytes | None:
    bases = (path[: -len(ending)] for ending in COMPANIONS if path.endswith(ending))
    return next((base for base in bases if is_database(base)), None)


def _is_beside_database(path: bytes) -> bool:
    return _database_of(path) is not None


def _is_special(path: bytes) -> bool:
    kind = os.lstat(path).st_mode
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind))


def _link(old: bytes, new: bytes) -> int:
    """Folders are made anew with the old ones' rights."""
    found = os.lstat(old)
    if not stat.S_ISDIR(found.st_mode):
        if os.path.lexists(new):
            return 0
        os.link(old, new, follow_symlinks=False)
        return 1
    if not is_folder(new):
        os.mkdir(new, 0o700)  # noqa: PTH102 - likewise
    count = sum(_link(old + b"/" + name, new + b"/" + name) for name in os.listdir(old))  # noqa: PTH208 - likewise
    _dress(new, old, found)
    return count


def _dress(folder: bytes, old: bytes, found: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(folder, found.st_uid, found.st_gid)
    attributes.copy(old, folder)
    os.chmod(folder, stat.S_IMODE(found.st_mode))  # noqa: PTH101 - likewise
    os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns))
