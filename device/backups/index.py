"""What the last good backup held: a file of directories in the order of the walk.

Read beside the walk, one directory at a time: equal names and facts mean unchanged. Staged when its archive was
sent, the latest when the hub has completed the backup."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple

import msgspec

from archive.manifest import Entry, Header, decode
from archive.plan import Work

MAX_REDO: Final = 10_000
"""Paths that a good backup has not as they should be."""
_MAGIC: Final = b"myrvm-index 1\n"
_GROUP: Final = struct.Struct("<IiIIQ")
"""Bytes of the path, bucket, bytes of the names, files, bytes of the files."""
_END: Final = _GROUP.pack(0, -1, 0, 0, 0)
FACTS: Final = 5
"""Numbers of eight bytes a name: size, mtime_ns, ctime_ns, inode, mode."""
WHOLE: Final = -1
"""Bucket of a directory that is one group."""


class Group(NamedTuple):
    """A directory, or one bucket of a large one. `names`: joined by NUL; `facts`: FACTS numbers for each."""

    path: bytes
    bucket: int
    names: bytes
    facts: bytes
    files: int
    size: int

    @property
    def key(self) -> tuple[list[bytes], int]:
        """Order of the walk: a directory before its content, names by bytes."""
        return self.path.split(b"/"), self.bucket

    @property
    def source(self) -> bytes:
        return self.path.partition(b"/")[0]

    def is_like(self, other: Group) -> bool:
        return self.names == other.names and self.facts == other.facts


class IndexMeta(msgspec.Struct, frozen=True):
    """`chain`: from the full backup to this one. `redo`: paths that are not in it as on disk. Bound: MAX_REDO."""

    backup_id: int
    chain: tuple[int, ...]
    created_at: str
    redo: tuple[str, ...] = ()
    sha256: str = ""
    """Of its archive: a restored hub may give a number again."""


class IndexWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(_MAGIC)
        self.files = self.bytes = 0

    def __enter__(self) -> IndexWriter:  # noqa: PYI034 - Self came with Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, _wrong: object, _trace: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.write(_END)
                self._file.flush()
                os.fdatasync(self._file.fileno())

    def write(self, group: Group) -> None:
        head = _GROUP.pack(len(group.path), group.bucket, len(group.names), group.files, group.size)
        self._file.write(head + group.path + group.names)
        self._file.write(group.facts)
        self.files += group.files
        self.bytes += group.size


class DamagedIndexError(Exception):
    """It cannot be read to its end: the next backup is full."""


def read_groups(path: Path) -> Iterator[Group]:
    """Raises DamagedIndexError, OSError."""
    with path.open("rb", buffering=256 * 1024) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DamagedIndexError("no index")
        while (group := _read_group(file)) is not None:
            yield group


def _read_group(file: BinaryIO) -> Group | None:
    head = file.read(_GROUP.size)
    if head == _END:
        return None
    if len(head) != _GROUP.size:
        raise DamagedIndexError("the index ends too early")
    path_size, bucket, names_size, files, size = _GROUP.unpack(head)
    path, names = file.read(path_size), file.read(names_size)
    count = names.count(b"\0") + 1 if names else 0
    facts = file.read(count * FACTS * 8)
    if len(facts) != count * FACTS * 8 or not path:
        raise DamagedIndexError("the index ends too early")
    return Group(path, bucket, names, facts, files, size)


class Indexes:
    """The last good backup's, and one that the hub has not confirmed yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._meta_file = folder / "latest.json"

    @property
    def latest(self) -> Path | None:
        """None: the next backup is full."""
        meta = self.meta
        return self._index(meta.backup_id) if meta else None

    @property
    def meta(self) -> IndexMeta | None:
        try:
            meta = msgspec.json.decode(self._meta_file.read_bytes(), type=IndexMeta)
        except (OSError, msgspec.DecodeError):
            return None
        return meta if self._index(meta.backup_id).exists() else None

    def stage(self, folder: Path, header: Header, sha256: str = "") -> bool:
        """Keep the index of a sent backup until the hub has decided. False: too much could not be read; the next
        goes on from the one before."""
        work = Work(folder)
        redo = tuple(islice(_not_as_on_disk(work.entries), MAX_REDO + 1))
        if len(redo) > MAX_REDO:
            return False
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        meta = IndexMeta(header.backup_id, header.chain, header.created_at, redo, sha256)
        self._staged(header.backup_id).write_bytes(msgspec.json.encode(meta))
        work.index.replace(self._index(header.backup_id))
        self._tidy(header.backup_id)
        return True

    def promote(self, backup_id: int) -> bool:
        """The backup is good: the next goes on from it. False: it was not staged."""
        if not self._staged(backup_id).exists() or not self._index(backup_id).exists():
            return False
        self._staged(backup_id).replace(self._meta_file)  # one rename: before it the old one counts, behind it the new
        self._tidy(backup_id)
        return True

    def discard(self, backup_id: int) -> None:
        self._staged(backup_id).unlink(missing_ok=True)
        self._tidy(0)

    def clear(self) -> None:
        """The hub lost the latest's backup: the next is full."""
        self._meta_file.unlink(missing_ok=True)
        self._tidy(0)

    def _tidy(self, staged: int) -> None:
        """Remove all but the latest and the one just staged."""
        meta = self.meta
        kept = {f"{staged}.index", f"{staged}.staged", f"{meta.backup_id}.index" if meta else ""}
        for file in [*self._folder.glob("*.index"), *self._folder.glob("*.staged")]:
            if file.name not in kept:
                file.unlink(missing_ok=True)

    def _index(self, backup_id: int) -> Path:
        return self._folder / f"{backup_id}.index"

    def _staged(self, backup_id: int) -> Path:
        return self._folder / f"{backup_id}.staged"


def _not_as_on_disk(entries: Path) -> Iterator[str]:
    """Paths that the archive has not as they were: the next one takes them whatever they look like."""
    with entries.open("rb") as lines:
        for line in lines:
            if b'"mark":' in line:
                entry = decode(line)
                if isinstance(entry, Entry) and entry.mark is not None:
                    yield entry.path
