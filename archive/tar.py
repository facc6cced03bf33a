"""Members of a tar, one after the other, from pieces of bytes: a small part of the format, and nothing lenient.

Files (also GNU sparse 1.0), folders and links, with PAX records; every other kind, and a tar without its end, is
refused. Owners, modes and times are the manifest's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from archive.errors import DAMAGED, TOO_LARGE, UNKNOWN_FORMAT, UNSAFE, ArchiveError
from archive.manifest import MAX_ATTRIBUTES, MAX_EXTENTS, MAX_SIZE, USER_ATTRIBUTE, Extent, Kind
from archive.tar_headers import ACL, ATTRIBUTE, DEFAULT_ACL

BLOCK: Final = 512
MAX_RECORDS: Final = 64 * 1024
"""Of the PAX records of one member: a path, a link and some numbers."""
_KINDS: Final[dict[bytes, Kind]] = {b"0": "file", b"\0": "file", b"1": "hardlink", b"2": "symlink", b"5": "dir"}
_OTHERS: Final = {b"3": "a character device", b"4": "a block device", b"6": "a FIFO"}
_SET_BY_TAR: Final = ("SCHILY.xattr.", "SCHILY.acl.", "SCHILY.fflags", "LIBARCHIVE.xattr.", "RHT.security.")
_NOTHING: Final = bytes(BLOCK)


class Member(NamedTuple):
    """`path` as it stands there, unchecked. `size`: of the file as it is restored."""

    path: str
    kind: Kind
    size: int
    link: str = ""
    sparse: tuple[Extent, ...] | None = None
    extended: tuple[tuple[str, str], ...] = ()
    """Records of extended attributes and ACLs, as `tar_headers.extended` has those of an entry."""


class TarReader:
    """Iterates over the members. `pieces` gives the content of the newest; what is not taken of it is passed over."""

    def __init__(self, pieces: Iterator[bytes], max_bytes: int = MAX_SIZE) -> None:
        self._source = pieces
        self._ahead = memoryview(b"")
        self._left = 0
        self._padding = 0
        self._budget = max_bytes
        self._member: Member | None = None

    def limit(self, more: int) -> None:
        """No more than `more` bytes of tar from here on."""
        self._budget = more

    def __iter__(self) -> Iterator[Member]:
        while True:
            for _ in self._stored():
                pass
            self._take(self._padding)
            self._padding = 0
            block = self._take(BLOCK)
            if block == _NOTHING:
                self._end()
                return
            self._member = self._next(block)
            yield self._member

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """The content of the newest member with the offset of each piece; holes of a sparse file are left out."""
        member = self._member
        if member is None or member.sparse is None:
            offset = 0
            for piece in self._stored():
                yield offset, piece
                offset += len(piece)
            return
        for start, length in member.sparse:
            offset, end = start, start + length
            while offset < end:
                piece = self._some(min(end - offset, self._left))
                self._left -= len(piece)
                yield offset, piece
                offset += len(piece)

    def _stored(self) -> Iterator[memoryview]:
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece

    def _some(self, most: int) -> memoryview:
        """At least one byte and at most so many."""
        while not self._ahead:
            piece = next(self._source, None)
            if piece is None:
                raise ArchiveError(DAMAGED, "the archive ends too early")
            self._budget -= len(piece)
            if self._budget < 0:
                raise ArchiveError(TOO_LARGE, "unpacks to more than it may")
            self._ahead = memoryview(piece)
        if most <= 0:
            raise ArchiveError(DAMAGED, "a sparse file has less data than its map says")
        taken, self._ahead = self._ahead[:most], self._ahead[most:]
        return taken

    def _take(self, size: int) -> bytes:
        if size <= len(self._ahead):
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return bytes(taken)
        whole = bytearray()
        while len(whole) < size:
            whole += self._some(size - len(whole))
        return bytes(whole)

    def _end(self) -> None:
        """Nothing but zeros may follow, to the end of the file."""
        if self._take(BLOCK) != _NOTHING:
            raise ArchiveError(DAMAGED, "one block of zeros where two end an archive")
        while True:
            if bytes(self._ahead).strip(b"\0"):
                raise ArchiveError(DAMAGED, "something stands behind the end of the archive")
            piece = next(self._source, None)
            if piece is None:
                return
            self._budget -= len(piece)
            if self._budget < 0:
                raise ArchiveError(TOO_LARGE, "unpacks to more than it may")
            self._ahead = memoryview(piece)

    def _next(self, block: bytes) -> Member:
        records: dict[str, str] = {}
        if block[156:157] == b"x":
            records = self._records(_header_size(block))
            block = self._take(BLOCK)
        _check_sum(block)
        kind = _kind(block[156:157])
        name = _text(block[:100])
        if prefix := _text(block[345:500]):
            name = f"{prefix}/{name}"
        path = records.get("GNU.sparse.name") or records.get("path", name)
        extended = _extended(path, records)
        stored = _number(records["size"]) if "size" in records else _octal(block[124:136])
        self._left = stored if kind == "file" else 0
        if kind != "file" and stored:
            raise ArchiveError(DAMAGED, "only a file has content", path=path[:200])
        self._padding = -self._left % BLOCK
        if kind in ("symlink", "hardlink"):
            return Member(path, kind, 0, records.get("linkpath", _text(block[157:257])))
        if kind == "dir":
            return Member(path.removesuffix("/"), kind, 0, extended=extended)
        if any(key.startswith("GNU.sparse.") for key in records):
            return self._sparse(path, records)._replace(extended=extended)
        return Member(path, kind, stored, extended=extended)

    def _records(self, size: int) -> dict[str, str]:
        if size > MAX_RECORDS:
            raise ArchiveError(TOO_LARGE, f"PAX records of more than {MAX_RECORDS} bytes")
        data = self._take(size + -size % BLOCK)[:size]
        records: dict[str, str] = {}
        while data:
            length = _number(data[:20].partition(b" ")[0].decode("ascii", "replace"))
            record, data = data[:length], data[length:]
            key, equals, value = record.partition(b" ")[2].partition(b"=")
            if len(record) < length or not equals or not value.endswith(b"\n"):
                raise ArchiveError(DAMAGED, "PAX records are damaged")
            records[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
        return records

    def _sparse(self, path: str, records: dict[str, str]) -> Member:
        version = records.get("GNU.sparse.major"), records.get("GNU.sparse.minor")
        if version != ("1", "0") or "GNU.sparse.realsize" not in records:
            raise ArchiveError(UNKNOWN_FORMAT, "a sparse file of another form than GNU's 1.0", path=path[:200])
        count = self._map_number()
        if count[0] > MAX_EXTENTS + 1:  # and the empty one that some write for the end
            raise ArchiveError(TOO_LARGE, f"a sparse file of more than {MAX_EXTENTS} pieces", path=path[:200])
        read = count[1]
        numbers = []
        for _ in range(2 * count[0]):
            number, length = self._map_number()
            numbers.append(number)
            read += length
        self._stored_exactly(-read % BLOCK)
        size = _number(records["GNU.sparse.realsize"])
        extents = tuple((o, n) for o, n in zip(numbers[::2], numbers[1::2], strict=True) if n)
        behind = 0
        for offset, length in extents:
            if offset < behind or offset + length > size:
                raise ArchiveError(DAMAGED, "the map of a sparse file is damaged", path=path[:200])
            behind = offset + length
        if sum(length for _, length in extents) != self._left:
            raise ArchiveError(DAMAGED, "the map of a sparse file does not fit its data", path=path[:200])
        return Member(path, "file", size, sparse=extents)

    def _map_number(self) -> tuple[int, int]:
        """A line of the map, and how many bytes it had."""
        line = b""
        while not line.endswith(b"\n") and len(line) <= 20:
            line += self._stored_exactly(1)
        return _number(line[:-1].decode("ascii", "replace")), len(line)

    def _stored_exactly(self, size: int) -> bytes:
        if size > self._left:
            raise ArchiveError(DAMAGED, "the map of a sparse file is damaged")
        self._left -= size
        return self._take(size)


def _header_size(block: bytes) -> int:
    _check_sum(block)
    return _octal(block[124:136])


def _check_sum(block: bytes) -> None:
    if block[257:262] != b"ustar":
        raise ArchiveError(UNKNOWN_FORMAT, "this is no archive of a backup (no ustar header where one must be)")
    if _octal(block[148:156]) != sum(block[:148]) + 8 * 0x20 + sum(block[156:]):
        raise ArchiveError(DAMAGED, "a header of the archive is damaged")


def _kind(flag: bytes) -> Kind:
    kind = _KINDS.get(flag)
    if kind is None:
        what = _OTHERS.get(flag, f"a member of type {flag!r}")
        raise ArchiveError(UNSAFE, f"{what} stands in the archive; a backup has files, folders and links")
    return kind


def _extended(path: str, records: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """What `tar --xattrs --acls --selinux` would set; only what backups have of it is taken."""
    found = [(key, value) for key, value in records.items() if key.startswith(_SET_BY_TAR)]
    for key, _ in found:
        if key not in (ACL, DEFAULT_ACL) and USER_ATTRIBUTE.match(key.removeprefix(ATTRIBUTE)) is None:
            raise ArchiveError(UNSAFE, f"no backup has the extended attribute {key[:100]!r}", path=path[:200])
    if sum(len(key) + len(value) for key, value in found) > 2 * MAX_ATTRIBUTES:
        raise ArchiveError(TOO_LARGE, f"more than {MAX_ATTRIBUTES} bytes of extended attributes", path=path[:200])
    return tuple(sorted(found))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not all(48 <= digit <= 55 for digit in digits):
        raise ArchiveError(DAMAGED, "a number of a header is damaged")
    return int(digits or b"0", 8)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > MAX_SIZE:
        raise ArchiveError(DAMAGED, "a number of a header is damaged")
    return int(text)
