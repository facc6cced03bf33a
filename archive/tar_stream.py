"""Writes the tar of a plan as blocks, each with the position behind it, from which another process can go on.

A file that changes meanwhile is written again at the end; what is gone or unreadable is a line of the report.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from archive import manifest, tar_headers
from archive.attributes import extended
from archive.compress import BLOCK_SIZE
from archive.describe import described
from archive.errors import INTERRUPTED, ArchiveError
from archive.manifest import BEGIN, MANIFEST, Entry, Totals
from archive.plan import Work
from archive.position import MAX_RETRIES, MAX_UNLINKED, Block, Current, Retry, TarPosition
from archive.source_file import SQLITE, NotRegularError, SourceFile

EMPTY: Final = hashlib.sha256().hexdigest()
MAX_ATTEMPTS: Final = 3
"""How often a file that changes while it is read is written."""
Snapshot = Callable[[Path, Path], str]
"""Copies a database that may be in use to the second path. Gives the code of what went wrong, empty when it is there;
`no_room` leaves the file out, anything else lets it be read like any other."""


class TarStream:
    """`roots`: where each source of the plan stands, with links resolved. `at` is behind the last byte that was put in
    a block."""

    def __init__(
        self, work: Work, roots: Mapping[str, Path], at: TarPosition, snapshot: Snapshot | None = None
    ) -> None:
        self.at = at
        self._work = work
        self._roots = {name: str(root) for name, root in roots.items()}
        self._snapshot = snapshot
        self._entry = Entry(path="", kind="file")
        """Of the member under way: written into a position only when a block ends within it."""
        self._room = memoryview(bytearray(BLOCK_SIZE))
        self._fill = 0
        self._spool = work.entries.open("r+b" if at.listed else "wb")
        if self._spool.seek(0, os.SEEK_END) < at.listed:
            self._spool.close()
            raise ArchiveError(INTERRUPTED, "the list of what was written is shorter than what is known of it")
        self._spool.truncate(at.listed)
        self._spool.seek(at.listed)

    def close(self) -> None:
        self._spool.close()

    def sync(self) -> None:
        """What was listed is on the disk: a position may be relied on only then."""
        self._spool.flush()
        os.fdatasync(self._spool.fileno())

    def blocks(self) -> Iterator[Block]:
        if self.at.stage == "begin":
            yield from self._listing(BEGIN, [self._work.plan], b"")
            self.at.stage, self.at.done = "entries", -1
        if self.at.stage == "entries":
            yield from self._planned()
            self.at.stage = "retries"
        if self.at.stage == "retries":
            yield from self._retries()
            self.at.stage = "manifest"
        if self.at.stage == "manifest":
            yield from self._manifest()
            self.at.stage = "end"
        if self._fill:
            yield self._cut()

    @property
    def totals(self) -> Totals:
        scan = self._work.load()
        return Totals(
            files=self.at.files, bytes=self.at.bytes, entries=self.at.entries, deleted=scan.deleted,
            state_files=scan.state_files, state_bytes=scan.state_bytes,
        )  # fmt: skip

    def _cut(self) -> Block:
        if self.at.current is not None and not self.at.current.line:
            self.at.current.line = manifest.encode(self._entry)
        block = Block(self._room[: self._fill], self.at.copy())
        self._room, self._fill = memoryview(bytearray(BLOCK_SIZE)), 0
        return block

    def _put(self, head: bytes) -> Iterator[Block]:
        """A header or padding, never cut in two."""
        if self._fill + len(head) > BLOCK_SIZE:
            yield self._cut()
        self._room[self._fill : self._fill + len(head)] = head
        self._fill += len(head)

    def _listing(self, name: str, files: list[Path], tail: bytes) -> Iterator[Block]:
        """A manifest, from what lies on the disk and a last line. Its files do not change any more."""
        size = sum(file.stat().st_size for file in files) + len(tail)
        if self.at.done < 0:
            yield from self._put(tar_headers.own(name, size))
            self.at.done = 0
        for chunk in _from(files, tail, self.at.done):
            yield from self._put(chunk)
            self.at.done += len(chunk)
        yield from self._put(bytes(tar_headers.padding(size)))

    def _planned(self) -> Iterator[Block]:
        with self._work.plan.open("rb") as plan:
            plan.seek(self.at.plan)
            for line in plan:
                entry = manifest.decode(line)
                if self.at.current is not None:
                    yield from self._go_on(self.at.current)
                elif isinstance(entry, Entry):
                    yield from self._member(entry, 0)
                self.at.plan += len(line)

    def _retries(self) -> Iterator[Block]:
        while self.at.retries:
            retry = self.at.retries[0]
            if self.at.current is not None:
                yield from self._go_on(self.at.current)
            else:
                yield from self._member(_entry(retry.line), retry.attempts)
            self.at.retries.pop(0)

    def _manifest(self) -> Iterator[Block]:
        self._spool.flush()
        header = self._work.folder / "header.jsonl"
        with self._work.plan.open("rb") as plan:
            header.write_bytes(plan.readline())
        files = [header, self._work.entries, self._work.deleted]
        yield from self._listing(MANIFEST, files, manifest.encode(self.totals))
        yield from self._put(tar_headers.END)

    def _member(self, planned: Entry, attempts: int) -> Iterator[Block]:
        try:
            entry, source = self._open(planned)
        except OSError as wrong:
            if attempts and planned.sha256 is None:
                yield from self._emptied(planned, wrong.strerror or str(wrong))
            else:
                self._lost(planned, wrong, attempts)
            return
        if source is None:
            yield from self._put(tar_headers.header(entry, 0))
            self._list(entry)
            return
        try:
            yield from self._file(entry, source, attempts)
        finally:
            source.close()

    def _open(self, planned: Entry) -> tuple[Entry, SourceFile | None]:
        """What is there now, which may be of another kind than was planned; its content if any. Raises OSError."""
        path, real = planned.path, self._real(planned.path)
        found = os.lstat(real)
        if stat.S_ISDIR(found.st_mode):
            return self._noted(*extended(described(path, "dir", found), real)), None
        if stat.S_ISLNK(found.st_mode):
            return described(path, "symlink", found, link=str(Path(real).readlink())), None
        if planned.kind == "hardlink" and self._may_link(planned, found):
            return described(path, "hardlink", found, link=planned.link), None
        source = SourceFile(real, is_real=True)
        found = source.stat
        entry = self._noted(*source.described(described(path, "file", found)))
        if self._snapshot is not None and source.begins_with(SQLITE):
            source = self._copy(path, real, source)
        is_copy = source.stat is not found
        return msgspec.structs.replace(entry, size=source.size, sparse=source.extents, snapshot=is_copy), source

    def _noted(self, entry: Entry, left_out: str) -> Entry:
        if left_out:
            self.at.report.add(entry.path, "attributes_left_out", left_out)
        return entry

    def _copy(self, path: str, real: str, source: SourceFile) -> SourceFile:
        """A copy that a database made of itself, or the file as it is. Raises OSError for one to be left out."""
        problem = self._snapshot(Path(real), self._work.snapshot) if self._snapshot else ""
        if problem not in ("", "no_room"):
            self.at.report.add(path, "snapshot_failed", problem)
            return source
        source.close()
        if problem:
            raise OSError("no room for a snapshot of this database")
        return SourceFile(str(self._work.snapshot))

    def _may_link(self, planned: Entry, found: os.stat_result) -> bool:
        """Whether its other name is still the same file, and is in this archive as it should be."""
        link = planned.link or ""
        if link in self.at.unlinked or len(self.at.unlinked) >= MAX_UNLINKED:
            return False
        try:
            other = os.lstat(self._real(link))
        except OSError:
            return False
        return (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino)

    def _file(self, entry: Entry, source: SourceFile, attempts: int) -> Iterator[Block]:
        sparse_map = tar_headers.sparse_map(entry.sparse, entry.size) if entry.sparse is not None else b""
        yield from self._put(tar_headers.header(entry, source.stored + len(sparse_map), sparse_map))
        current = Current(b"", attempts, source.identity, source.stored, is_linked=source.stat.st_nlink > 1)
        self._entry = entry
        self.at.current = current
        yield from self._content(source, current)
        self._finish(source, current, entry)

    def _content(self, source: SourceFile | None, current: Current) -> Iterator[Block]:
        """What is left of a file, or zeros where it is not the same any more; then its padding."""
        while current.done < current.stored:
            if self._fill == BLOCK_SIZE:
                yield self._cut()
            room = self._room[self._fill :][: current.stored - current.done]
            taken = source.read_into(room) if source else len(room)
            self._fill += taken
            current.done += taken
            self.at.read += taken
        yield from self._put(bytes(tar_headers.padding(current.stored)))

    def _go_on(self, current: Current) -> Iterator[Block]:
        """In the middle of a file that an earlier process began."""
        entry = _entry(current.line)
        source = self._the_same(entry, current)
        try:
            if source is not None:
                source.skip(current.done)
            yield from self._content(source, current)
            self._finish(source, current, entry)
        finally:
            if source is not None:
                source.close()

    def _the_same(self, entry: Entry, current: Current) -> SourceFile | None:
        with suppress(OSError):
            if entry.snapshot:
                source = SourceFile(str(self._work.snapshot))
            else:
                source = SourceFile(self._real(entry.path), is_real=True)
            if source.identity == current.identity and source.extents == entry.sparse:
                return source
            source.close()
        return None

    def _finish(self, source: SourceFile | None, current: Current, entry: Entry) -> None:
        """Lists a member whose last byte is in a block, or lets it be written again."""
        self.at.current = None
        attempts = current.attempts + 1
        is_whole = source is not None and not source.changed()
        if entry.snapshot:
            self._work.snapshot.unlink(missing_ok=True)
        if source is not None:
            entry = msgspec.structs.replace(entry, sha256=source.digest())
        if is_whole:
            self._list(entry)
            return
        if current.is_linked:
            self._unlink(entry.path)
        is_again = attempts < MAX_ATTEMPTS and len(self.at.retries) < MAX_RETRIES
        if is_again or entry.sha256 is None:  # nobody knows the sum of what an earlier process wrote
            self.at.retries.append(Retry(manifest.encode(entry), attempts))
        else:
            self._list_changed(entry, source.problem if source else "")

    def _list_changed(self, entry: Entry, problem: str) -> None:
        self.at.report.add(entry.path, "changed", problem)
        self._list(msgspec.structs.replace(entry, mark="changed"))

    def _lost(self, planned: Entry, wrong: OSError, attempts: int) -> None:
        """It is not there any more, or cannot be read. What an earlier attempt wrote of it stays."""
        is_gone = isinstance(wrong, (FileNotFoundError, NotADirectoryError, NotRegularError))
        if attempts and planned.sha256 is not None:
            self._list_changed(planned, "vanished" if is_gone else "unreadable")
            return
        if planned.kind == "file":
            self._unlink(planned.path)
        self.at.report.add(planned.path, "vanished" if is_gone else "unreadable", wrong.strerror or str(wrong))
        mark: manifest.Mark = "vanished" if is_gone else "unreadable"
        self._list(msgspec.structs.replace(planned, sha256=None, sparse=None, mark=mark))

    def _emptied(self, planned: Entry, problem: str) -> Iterator[Block]:
        """A torn member that nobody can write again: an empty one takes its place, so that the sums of all fit."""
        entry = msgspec.structs.replace(planned, size=0, sparse=None, snapshot=False, sha256=EMPTY)
        yield from self._put(tar_headers.header(entry, 0))
        self._list_changed(entry, problem)

    def _unlink(self, path: str) -> None:
        if len(self.at.unlinked) < MAX_UNLINKED:
            self.at.unlinked.append(path)

    def _list(self, entry: Entry) -> None:
        line = manifest.encode(entry)
        self._spool.write(line)
        at = self.at
        at.listed += len(line)
        at.entries += 1
        if entry.has_content:
            at.files += 1
            at.bytes += entry.size

    def _real(self, path: str) -> str:
        source, _, below = path.partition("/")
        return f"{self._roots[source]}/{below}" if below else self._roots[source]


def _entry(line: bytes) -> Entry:
    entry = manifest.decode(line)
    if not isinstance(entry, Entry):
        raise ArchiveError(INTERRUPTED, "the checkpoint holds no entry where one belongs")
    return entry


def _from(files: list[Path], tail: bytes, skip: int) -> Iterator[bytes]:
    """The bytes of all files and the tail, behind the first `skip`, in chunks a block has room for."""
    for file in files:
        size = file.stat().st_size
        if skip >= size:
            skip -= size
            continue
        with file.open("rb") as opened:
            opened.seek(skip)
            skip = 0
            while chunk := opened.read(128 * 1024):
                yield chunk
    if tail[skip:]:
        yield tail[skip:]
