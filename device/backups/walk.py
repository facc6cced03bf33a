"""Walks a source directory by directory, without reading content.

Directories before their content, names by bytes, more than LARGE in BUCKETS groups."""

from __future__ import annotations

import os
import stat
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from archive.manifest import MAX_DEPTH
from device.backups.index import WHOLE, Group

LARGE: Final = 4096
BUCKETS: Final = 256
_SPECIAL: Final = {
    stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device",
}  # fmt: skip
_MOST_INODE: Final = 2**63 - 1
COMPANIONS: Final = (b"-wal", b"-shm", b"-journal")
"""SQLite's, beside a database in use: in its snapshot, never copied."""

Notice = Callable[[bytes, str, str], None]
IsExcluded = Callable[[bytes, bytes], bool]
"""Whether a name is left out: its path below the source, and itself."""


class Found(NamedTuple):
    """A group, and the directories below it by name. `is_linked`: a file has other names. `is_lost`: the directory
    could not be read."""

    group: Group
    subfolders: list[bytes]
    is_linked: bool = False
    is_lost: bool = False


class Walk:
    """`root`: on disk; `source` begins each path. `scratch`: for the names of a large directory."""

    def __init__(
        self, source: bytes, root: bytes, scratch: Path, notice: Notice, is_excluded: IsExcluded | None
    ) -> None:
        self._source = source
        self._root = root
        self._scratch = scratch
        self._notice = notice
        self._is_excluded = is_excluded

    def groups(self, was_large: Callable[[bytes], bool]) -> Iterator[Found]:
        """`was_large`: whether the last index had it in buckets, which then stay."""
        ahead = [self._source]
        while ahead:
            path = ahead.pop()
            below: list[bytes] = []
            for found in self._directory(path, was_large):
                below += found.subfolders
                yield found
            ahead += sorted((path + b"/" + name for name in below), reverse=True)

    def real(self, path: bytes) -> bytes:
        return self._root + path[len(self._source) :]

    def _directory(self, path: bytes, was_large: Callable[[bytes], bool]) -> Iterator[Found]:
        if path.count(b"/") + 1 >= MAX_DEPTH:
            self._notice(path, "too_deep", "")
            return
        try:
            with os.scandir(self.real(path)) as listing:
                entries: list[_Named] = list(islice(listing, LARGE + 1))
                is_large = len(entries) > LARGE or (len(entries) > LARGE // 4 and was_large(path))
                if is_large:
                    self._spread(chain(entries, listing))
        except OSError as wrong:
            is_gone = isinstance(wrong, (FileNotFoundError, NotADirectoryError))
            self._notice(path, "vanished" if is_gone else "unreadable", wrong.strerror or "")
            yield Found(Group(path, WHOLE, b"", b"", 0, 0), [], is_lost=True)
            return
        if not is_large:
            yield self._group(path, WHOLE, entries)
            return
        for bucket in range(BUCKETS):
            names = self._bucket(bucket).read_bytes().split(b"\0")[:-1]
            yield self._group(path, bucket, [_Name(name, self.real(path)) for name in names])

    def _spread(self, entries: Iterable[_Named]) -> None:
        """A database and its companions share a bucket."""
        with ExitStack() as stack:
            files = [stack.enter_context(self._bucket(bucket).open("wb")) for bucket in range(BUCKETS)]
            for entry in entries:
                files[zlib.crc32(_without_companion(entry.name)) % BUCKETS].write(entry.name + b"\0")

    def _bucket(self, bucket: int) -> Path:
        return self._scratch / f"names-{bucket}"

    def _group(self, path: bytes, bucket: int, entries: list[_Named]) -> Found:
        entries.sort(key=_NAME)
        if self._is_excluded is not None:
            below = path[len(self._source) + 1 :]
            prefix = below + b"/" if below else b""
            entries = [e for e in entries if not self._is_excluded(prefix + e.name, e.name)]
        names: list[bytes] = []
        facts = array("q")
        subfolders: list[bytes] = []
        files = size = 0
        is_linked = False
        for entry in entries:  # a million times: nothing here that is not needed
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError as wrong:
                if not isinstance(wrong, FileNotFoundError):
                    self._notice(path + b"/" + entry.name, "unreadable", wrong.strerror or "")
                continue
            kind = found.st_mode & 0o170000
            if kind == stat.S_IFREG:
                files += 1
                size += found.st_size
                if found.st_nlink > 1:
                    is_linked = True
            elif kind == stat.S_IFDIR:
                subfolders.append(entry.name)
            elif kind != stat.S_IFLNK:
                self._notice(path + b"/" + entry.name, "special", _SPECIAL.get(kind, ""))
                continue
            names.append(entry.name)
            facts.extend(
                (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & _MOST_INODE, found.st_mode)
            )
        group = Group(path, bucket, b"\0".join(names), facts.tobytes(), files, size)
        return Found(group, subfolders, is_linked)


class _Named(Protocol):
    @property
    def name(self) -> bytes: ...

    def stat(self, *, follow_symlinks: bool) -> os.stat_result: ...


class _Name:
    def __init__(self, name: bytes, folder: bytes) -> None:
        self.name = name
        self._folder = folder

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:  # noqa: ARG002 - as os.DirEntry has it
        return os.lstat(self._folder + b"/" + self.name)


_NAME: Final = attrgetter("name")


def _without_companion(name: bytes) -> bytes:
    for ending in COMPANIONS:
        if name.endswith(ending):
            return name[: -len(ending)]
    return name
