"""One archive, unpacked into a folder that is nobody's yet; whether it is right, compare says.

The archive is not trusted: paths are checked, nothing is followed, devices are refused, limits end a bomb. After an
error the folder is thrown away by whoever made it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from archive import manifest, packing
from archive.errors import DAMAGED, DISK_FULL, OUTWARD_LINK, TOO_LARGE, UNSAFE, ArchiveError
from archive.lone_links import LoneLinks
from archive.manifest import Deleted, Entry, Extent, Header, Totals
from archive.tar import Member, TarReader
from archive.tree import ENTRY_COST, Tree, refusals

_TAR_COST = 4096 + manifest.MAX_ATTRIBUTES
"""Bytes of tar that an entry may take beside its content: its header, PAX records, extended attributes."""
_SLACK = 64 * 1024 * 1024
_MOST_BLOCK = 64 * 1024
"""A network's file system names a block that is larger than its disks have."""
_ATTEMPTS = 3
"""How often a file stands in the archive when it changed while it was read."""

MAX_HOLES = 2**38
"""Bytes that sparse files of an archive may have: their holes take no room, but must be read to be compared."""

Progress = Callable[[int], None]
"""Called with the bytes of the archive file read so far; may raise to end it."""


def nobody(_done: int) -> None:
    """Wants no progress."""


class Selection(NamedTuple):
    """What is wanted of an archive: everything, some classes, some paths with what is below them (or both), and never
    what is `without`."""

    classes: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    outward_links: bool = True
    """Whether symbolic links may lead out of their source. They are never followed here in any case."""

    def takes(self, path: str, header: Header) -> bool:
        source = header.sources.get(path.partition("/")[0])
        if source is None or (self.classes and source.class_ not in self.classes):
            return False
        if self.without and _is_within(path, self.without):
            return False
        return not self.paths or _is_within(path, self.paths)


def _is_within(path: str, outer: Sequence[str]) -> bool:
    return any(path == each or path.startswith(each + "/") for each in outer)


EVERYTHING = Selection()


class DiskRoom(NamedTuple):
    """How much an archive may unpack to: bytes on the disk, and entries."""

    max_bytes: int = 2**50
    max_entries: int = manifest.MAX_ENTRIES


ANY_ROOM: Final = DiskRoom()


class Unpacked(NamedTuple):
    """What one archive was. `sha256` and `size` are of its file as it was read, all of it."""

    header: Header
    totals: Totals
    sha256: str
    size: int
    written: int


def unpack(
    raw: BinaryIO,
    tree: Tree | None,
    manifest_file: Path,
    *,
    identities: Sequence[str] = (),
    selection: Selection = EVERYTHING,
    room: DiskRoom = ANY_ROOM,
    progress: Progress = nobody,
) -> Unpacked:
    """Reads `raw` from front to back, fills `tree`, applies what is deleted, and leaves the manifest in a file.

    `tree` None: only structure and manifest are looked at. Raises ArchiveError (also what `progress` raises).
    """
    file = packing.CountedFile(raw)
    with contextlib.closing(packing.unpacked(file, identities)) as pieces:
        reading = _Reading(TarReader(pieces, _most_manifest(room) + _SLACK), tree, selection, room)
        reading.read(manifest_file, lambda: progress(file.size))
    header, totals = reading.ended(manifest_file)
    return Unpacked(header, totals, file.sha256, file.size, reading.written)


class _Reading:
    def __init__(self, tar: TarReader, tree: Tree | None, selection: Selection, room: DiskRoom) -> None:
        self._tar = tar
        self._tree = tree
        self._selection = selection
        self._room = room
        self._members = self._holes = 0
        self._header: Header | None = None
        self._lone_links = LoneLinks(self._takes)
        self.written = 0

    def read(self, manifest_file: Path, tick: Callable[[], None]) -> None:
        members = iter(self._tar)
        first = next(members, None)
        if first is None or first.path != manifest.BEGIN or first.kind != "file":
            raise ArchiveError(DAMAGED, "the archive does not begin with the plan of a backup")
        self._plan()
        is_ended = False
        for member in members:
            tick()
            if is_ended:
                raise ArchiveError(DAMAGED, "something stands behind the manifest")
            is_ended = member.path == manifest.MANIFEST
            if is_ended:
                self._save_manifest(member, manifest_file)
            else:
                self._member(member, tick)
        if not is_ended:
            raise ArchiveError(DAMAGED, "the archive ends without its manifest")

    def ended(self, manifest_file: Path) -> tuple[Header, Totals]:
        """Deletes what the manifest says is gone; header and totals."""
        header: Header | None = None
        totals: Totals | None = None
        for line in read_file(manifest_file):
            if isinstance(line, Header):
                header = line
            elif isinstance(line, Totals):
                totals = line
            elif isinstance(line, Deleted) and self._tree is not None and self._takes(line.path):
                with refusals(line.path):
                    self._tree.delete(manifest.check_path(line.path))
        if header is None or totals is None or header != self._header:
            raise ArchiveError(DAMAGED, "the manifest belongs to another backup than the plan")
        return header, totals

    def _takes(self, path: str) -> bool:
        return self._selection.takes(path, self._known())

    def _known(self) -> Header:
        if self._header is None:
            raise ArchiveError(DAMAGED, "the plan has no header")
        return self._header

    def _plan(self) -> None:
        """The plan says how much will come; more than that has an end, whatever the archive was compressed from."""
        count = size = stored = 0
        for line in manifest.read((bytes(piece) for _, piece in self._tar.pieces()), is_plan=True):
            if isinstance(line, Header):
                self._header = line
            elif isinstance(line, Entry):
                count += 1
                room = disk_size(line)
                stored += room
                if self._tree is not None and self._takes(line.path):
                    size += room + ENTRY_COST
                    self._lone_links.plan(line)
        if size > self._room.max_bytes:
            raise ArchiveError(DISK_FULL, f"it unpacks to {size} bytes, and there is room for {self._room.max_bytes}")
        self._tar.limit(_ATTEMPTS * stored + count * _TAR_COST + count * manifest.MAX_LINE // 8 + _SLACK)

    def _save_manifest(self, member: Member, manifest_file: Path) -> None:
        if member.kind != "file" or member.size > _most_manifest(self._room):
            raise ArchiveError(TOO_LARGE, "the manifest is too large")
        self._spend(member.size, member.path)
        with refusals(member.path), manifest_file.open("wb") as file:
            for _, piece in self._tar.pieces():
                file.write(piece)

    def _member(self, member: Member, tick: Callable[[], None]) -> None:
        self._members += 1
        if self._members > _ATTEMPTS * self._room.max_entries:
            raise ArchiveError(TOO_LARGE, f"more than {self._room.max_entries} entries")
        steps = manifest.check_path(member.path)
        if steps[0] not in self._known().sources:
            raise ArchiveError(UNSAFE, "belongs to no source of this archive", path=member.path[:200])
        if self._tree is None:
            return
        if not self._takes(member.path):
            place = self._lone_links.take(member.path) if member.kind == "file" else None
            if place is None:
                return
            member, steps = member._replace(path=place), manifest.check_path(place)
        elif member.kind != "hardlink":
            self._keep_content(self._tree, member.path)
        self._spend(ENTRY_COST + sum(len(value) for _, value in member.extended), member.path)
        with refusals(member.path):
            fd = self._make(self._tree, member, steps)
        if member.kind != "hardlink":
            self._tree.note(member.path, member.extended)
        if fd is not None:
            try:
                self._fill(fd, member, tick)
            finally:
                os.close(fd)

    def _keep_content(self, tree: Tree, path: str) -> None:
        """What is replaced there may be the content of other links."""
        link = self._lone_links.replace(path)
        if link is not None:
            with refusals(link):
                tree.make_hard_link(manifest.check_path(link), manifest.check_path(path))
            tree.note_same(link, path)

    def _make(self, tree: Tree, member: Member, steps: tuple[str, ...]) -> int | None:
        """A file is to be filled."""
        if member.kind == "file":
            return tree.make_file(steps)
        if member.kind == "dir":
            tree.make_folder(steps)
        elif member.kind == "hardlink":
            file = self._lone_links.of(member.link)
            tree.make_hard_link(steps, manifest.check_path(file))
            tree.note_same(member.path, file)
            tree.note_link(member.path, member.link)
        else:
            self._check_link(member)
            tree.make_link(steps, member.link)
        return None

    def _check_link(self, member: Member) -> None:
        if not 0 < len(os.fsencode(member.link)) <= manifest.MAX_PATH or "\0" in member.link:
            raise ArchiveError(UNSAFE, "a link leads nowhere", path=member.path)
        if not self._selection.outward_links and manifest.leads_out(member.path, member.link):
            raise ArchiveError(OUTWARD_LINK, f"a link leads out of its folder, to {member.link!r}", path=member.path)

    def _fill(self, fd: int, member: Member, tick: Callable[[], None]) -> None:
        if member.sparse is not None:
            self._spend(blocks_of(member.sparse, min(os.fstat(fd).st_blksize, _MOST_BLOCK)), member.path)
        for offset, piece in self._tar.pieces():
            tick()
            if member.sparse is None:
                self._spend(len(piece), member.path)
            self.written += len(piece)
            with refusals(member.path):
                _write(fd, piece, offset)
        if member.sparse is not None:
            self._holes += member.size
            if self._holes > MAX_HOLES:
                raise ArchiveError(TOO_LARGE, "sparse files of too great a size", path=member.path)
            with refusals(member.path):
                os.ftruncate(fd, member.size)

    def _spend(self, size: int, path: str) -> None:
        if self._tree is not None:
            self._tree.spent += size
            if self._tree.spent > self._room.max_bytes:
                raise ArchiveError(
                    DISK_FULL, f"it unpacks to more than the {self._room.max_bytes} bytes of room", path=path
                )


def _most_manifest(room: DiskRoom) -> int:
    """Bytes of it, and of the plan: nothing that comes before says how much there is to read."""
    return room.max_entries * 1024 + 16 * manifest.MAX_LINE


def _write(fd: int, piece: memoryview, offset: int) -> None:
    while piece:
        done = os.pwrite(fd, piece, offset)
        piece, offset = piece[done:], offset + done


def blocks_of(extents: Sequence[Extent], block: int) -> int:
    """Bytes that extents take of a disk: one byte takes a whole block."""
    size = end = 0
    for start, length in extents:
        first, last = max(start - start % block, end), start + length + -(start + length) % block
        if length and last > first:
            size, end = size + last - first, last
    return size


def disk_size(entry: Entry) -> int:
    """Bytes that its content takes."""
    if not entry.has_content:
        return 0
    return entry.size if entry.sparse is None else sum(length for _, length in entry.sparse)


def read_file(file: Path) -> Iterator[manifest.Line]:
    """The lines of a manifest that stands in a file."""

    def pieces() -> Iterator[bytes]:
        with file.open("rb") as opened:
            while piece := opened.read(packing.PIECE):
                yield piece

    return manifest.read(pieces())
