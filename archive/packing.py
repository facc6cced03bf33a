"""The bytes of an archive file, read once from front to back: counted, summed, decrypted, decompressed.

Its first bytes say what it is, never its name. A piece has 256 KiB at most, so a bomb costs time and no memory.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Generator, Iterator, Sequence
from typing import BinaryIO, Final, cast

from archive import age
from archive.age import Readable
from archive.errors import DAMAGED, ArchiveError

PIECE: Final = 256 * 1024
MAX_WINDOW: Final = 8 * 1024 * 1024
"""Of zstd, whose frames may ask for gigabytes."""
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class CountedFile:
    """A file object that knows how much of it was read, and the sha256 of that."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._sum = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._raw.read(size)
        self._sum.update(data)
        self.size += len(data)
        return data

    @property
    def sha256(self) -> str:
        return self._sum.hexdigest()


class _Peeked:
    """A source whose first bytes were looked at."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size:
            more = self._source.read(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead

    def read(self, size: int, /) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead[:size], self._ahead[size:]
            return ahead
        return self._source.read(size)


def unpacked(file: CountedFile, identities: Sequence[str] = ()) -> Generator[bytes, None, None]:
    """The tar in it, in pieces, to its end; raises ArchiveError where that is damaged or cannot be opened.

    Closing the generator ends whatever it began. At the end all of `file` was read.
    """
    source = _Peeked(file)
    if source.peek(len(age.MAGIC)) != age.MAGIC:
        yield from _decompressed(source)
        return
    opened = age.Decrypted(source, identities)
    try:
        yield from _decompressed(_Peeked(opened))
    finally:
        opened.close()


def _decompressed(source: _Peeked) -> Iterator[bytes]:
    head = source.peek(4)
    if head.startswith(_GZIP):
        return _gzip(source)
    return _zstd(source) if head.startswith(_ZSTD) else _plain(source)


def _plain(source: _Peeked) -> Iterator[bytes]:
    while data := source.read(PIECE):
        yield data


def _gzip(source: _Peeked) -> Iterator[bytes]:
    """Every member of it: a block of the archive is a member of its own."""
    data = source.read(PIECE)
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            try:
                piece = member.decompress(data, PIECE)
            except zlib.error as wrong:
                raise ArchiveError(DAMAGED, f"the compressed data are damaged: {wrong}") from wrong
            if piece:
                yield piece
            data = member.unconsumed_tail
            if not data and not member.eof and not (data := source.read(PIECE)):
                raise ArchiveError(DAMAGED, "the archive ends within its compressed data")
        data = member.unused_data or source.read(PIECE)


def _zstd(source: _Peeked) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    file = cast("BinaryIO", source)  # of a file it takes `read` alone
    stream = decompressor.stream_reader(file, read_size=PIECE, read_across_frames=True)
    while True:
        try:
            piece = stream.read(PIECE)
        except zstandard.ZstdError as wrong:
            raise ArchiveError(DAMAGED, f"the compressed data are damaged: {wrong}") from wrong
        if not piece:
            return
        yield piece
