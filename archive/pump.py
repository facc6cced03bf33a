"""The bytes of a backup as parts of exactly 8 MiB, each with a checkpoint from which another process goes on.

`Pump(folder, roots).parts()` reads, compresses on `workers` threads, and writes nothing but lists to the disk; of an
encrypted archive its key, too, and the sum of each part before it is given out (`archive.stream_key`).
"""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from archive.compress import compressor, in_order
from archive.errors import INTERRUPTED, ArchiveError
from archive.manifest import Compression
from archive.plan import NoRoomError, Report, Work
from archive.position import Block, TarPosition
from archive.tar_stream import Snapshot, TarStream

if TYPE_CHECKING:
    from archive.stream_key import StreamKeyFile

PART_SIZE: Final = 8 * 1024 * 1024
CHILD_ENVIRONMENT: Final = {"MALLOC_MMAP_THRESHOLD_": "262144"}
"""For the process that pumps: glibc then gives blocks of a megabyte back to the system, a quarter of its memory."""


class ArchivePart(NamedTuple):
    """`number` from 1; `data` has PART_SIZE bytes unless it is the last. `checkpoint`: what to go on from once this
    part and all before it are where they belong; None where nobody can, and behind the last: that one is made again."""

    number: int
    data: bytes
    sha256: str
    last: bool
    checkpoint: bytes | None


class Summary(NamedTuple):
    """Of the whole archive. `sha256` is empty when an earlier process wrote the beginning."""

    size: int
    parts: int
    sha256: str
    files: int
    bytes: int
    entries: int
    deleted: int
    state_files: int
    state_bytes: int
    report: Report


class _Checkpoint(msgspec.Struct, array_like=True):
    compression: Compression
    parts: int
    position: TarPosition
    carry: bytes
    """Bytes of the archive behind the last part: less than a block makes."""
    sealed: Sealed | None = None
    """Of an encrypted archive."""


class Sealed(msgspec.Struct, array_like=True):
    """Where an encrypted stream stands: its nonce, the chunks so far, and compressed bytes that are in none yet."""

    nonce: bytes
    count: int
    rest: bytes


class Pump:
    def __init__(
        self, folder: Path, roots: Mapping[str, Path], *, compression: Compression = "gzip",
        recipients: Sequence[str] = (), workers: int = 1, snapshot: Snapshot | None = None,
    ) -> None:  # fmt: skip
        self._work = Work(folder)
        self._roots = roots
        self._compression: Compression = compression
        self._recipients = recipients
        self._workers = workers
        self._snapshot = snapshot
        self._scan = self._work.load()
        self._stream: TarStream | None = None
        self._sum = hashlib.sha256()
        self._is_whole = True
        self._size = self._parts = 0

    @property
    def total_bytes(self) -> int:
        return self._scan.bytes

    @property
    def done_bytes(self) -> int:
        """Bytes of content read so far; more than the total where files are read again."""
        return self._stream.at.read if self._stream else 0

    @property
    def summary(self) -> Summary:
        """After the last part."""
        if self._stream is None:
            raise ArchiveError(INTERRUPTED, "nothing was written")
        totals, at = self._stream.totals, self._stream.at
        report = self._scan.report.copy()
        report.merge(at.report)
        return Summary(
            self._size, self._parts, self._sum.hexdigest() if self._is_whole else "", totals.files, totals.bytes,
            totals.entries, totals.deleted, totals.state_files, totals.state_bytes, report,
        )  # fmt: skip

    def parts(self, checkpoint: bytes | None = None) -> Generator[ArchivePart, None, None]:
        """Raises ArchiveError (`interrupted`) where nobody can go on from the checkpoint, NoRoomError when the lists
        have no room."""
        begin = self._begin(checkpoint)
        try:
            with closing(TarStream(self._work, self._roots, begin.position, self._snapshot)) as stream:
                self._stream = stream
                yield from self._encrypted(stream, begin) if self._recipients else self._plain(stream, begin.carry)
        except OSError as wrong:
            if wrong.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRoomError.of(self._work.folder) from wrong
            raise

    def _begin(self, saved: bytes | None) -> _Checkpoint:
        if saved is None:
            return _Checkpoint(self._compression, 0, TarPosition(), b"")
        try:
            begin = msgspec.msgpack.decode(saved, type=_Checkpoint)
        except msgspec.DecodeError as wrong:
            raise ArchiveError(INTERRUPTED, f"the checkpoint cannot be read: {wrong}") from wrong
        if bool(self._recipients) != bool(begin.sealed) or begin.compression != self._compression:
            raise ArchiveError(INTERRUPTED, "an archive that is encrypted or compressed otherwise begins anew")
        self._parts, self._size, self._is_whole = begin.parts, begin.parts * PART_SIZE, False
        return begin

    def _plain(self, stream: TarStream, carry: bytes) -> Iterator[ArchivePart]:
        parts = _Cutter(carry)
        for made, position in self._compressed(stream):
            for data in parts.add(made):
                yield self._part(data, last=False, checkpoint=self._checkpoint(stream, position, parts.rest))
        yield self._part(parts.rest, last=True, checkpoint=None)

    def _checkpoint(
        self, stream: TarStream, position: TarPosition, carry: bytes, sealed: Sealed | None = None
    ) -> bytes:
        stream.sync()
        return msgspec.msgpack.encode(_Checkpoint(self._compression, self._parts + 1, position, carry, sealed))

    def _encrypted(self, stream: TarStream, begin: _Checkpoint) -> Iterator[ArchivePart]:
        from archive.encrypt import Sealer  # few machines encrypt: the others do without the packages

        with closing(self._key_file(begin.sealed)) as key_file:
            key, at = key_file.key, begin.sealed
            sealer = Sealer(key, at.count, at.rest) if at else Sealer(key)
            parts = _Cutter(begin.carry if at else key.prefix)
            for made, position in self._compressed(stream):
                for data in parts.add(sealer.add(made)):
                    sealed = Sealed(key.nonce, sealer.count, sealer.rest)
                    checkpoint = self._checkpoint(stream, position, parts.rest, sealed)
                    yield self._admitted(key_file, data, last=False, checkpoint=checkpoint)
            for data in parts.add(sealer.finish()):
                yield self._admitted(key_file, data, last=False, checkpoint=None)  # cut within the last chunk
            yield self._admitted(key_file, parts.rest, last=True, checkpoint=None)

    def _key_file(self, sealed: Sealed | None) -> StreamKeyFile:
        from archive.stream_key import StreamKeyFile

        if sealed is None:
            return StreamKeyFile.begin(self._work.key, self._recipients)
        return StreamKeyFile.go_on(self._work.key, sealed.nonce)

    def _admitted(self, key_file: StreamKeyFile, data: bytes, *, last: bool, checkpoint: bytes | None) -> ArchivePart:
        part = self._part(data, last=last, checkpoint=checkpoint)
        key_file.admit(part.number, part.sha256)
        return part

    def _compressed(self, stream: TarStream) -> Iterator[tuple[bytes, TarPosition]]:
        compress = compressor(self._compression)

        def work(block: Block) -> tuple[bytes, TarPosition]:
            return compress(block.data), block.position

        return in_order(work, stream.blocks(), self._workers)

    def _part(self, data: bytes, *, last: bool, checkpoint: bytes | None) -> ArchivePart:
        self._parts += 1
        self._size += len(data)
        if self._is_whole:
            self._sum.update(data)
        return ArchivePart(self._parts, data, hashlib.sha256(data).hexdigest(), last, checkpoint)


class _Cutter:
    """Cuts a stream into parts, and holds one. A BytesIO gives its bytes away without a copy."""

    def __init__(self, carry: bytes) -> None:
        self._part = io.BytesIO()
        self._part.write(carry)

    def add(self, made: bytes) -> Iterator[bytes]:
        """A part when it is full and something follows: the last one is known only at the end. `made` is much less."""
        room = PART_SIZE - self._part.tell()
        if len(made) <= room:
            self._part.write(made)
            return
        self._part.write(memoryview(made)[:room])
        data, self._part = self._part.getvalue(), io.BytesIO()
        self._part.write(memoryview(made)[room:])
        yield data

    @property
    def rest(self) -> bytes:
        return self._part.getvalue()
