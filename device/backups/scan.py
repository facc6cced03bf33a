"""Finds what belongs into a backup: walks its sources beside the last good index, and writes the plan.

What could not be read is never taken for deleted: it is carried over, and reported."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from archive import manifest
from archive.describe import described
from archive.errors import TOO_LARGE, ArchiveError
from archive.manifest import MAX_ENTRIES, ArchiveSource, Deleted, Entry, Header
from archive.plan import RESERVE, NoRoomError, Report, Scan, Work, free_bytes
from archive.source_file import SQLITE
from device.backups.index import FACTS, WHOLE, DamagedIndexError, Group, IndexWriter, read_groups
from device.backups.sources import UntrustedLinkError, excluder, followed
from device.backups.walk import BUCKETS, COMPANIONS, Found, Walk

MAX_LINKED: Final = 10_000
"""Hard-linked files known at a time; further ones are stored under each name."""
SETTLED_NS: Final = 20_000_000
"""A file changed less than a tick of the file system's clock before the look may change again unseen: it is looked
at closely next time."""
_ROOT: Final = -2
"""Bucket of a source itself, before its content."""
_LOOK_EVERY: Final = 4096
_FACTS: Final = struct.Struct(f"={FACTS}q")
_MODE: Final = struct.Struct("=q")
_MODE_AT: Final = 4 * 8
_BLOCK: Final = 512
"""Bytes of st_blocks."""
_GROWTH: Final = 2
"""The lists take so many times the plan's room: written lines have sums."""

Known = dict[bytes, bytes]


class NoSourcesError(Exception):
    pass


class StoppedError(Exception):
    pass


def scan(
    header: Header, folder: Path, previous: Path | None, *, redo: Collection[str] = (), read_all: bool = False,
    stop: Callable[[], bool] = lambda: False, progress: Callable[[int, int], None] = lambda _files, _bytes: None,
) -> Scan:  # fmt: skip
    """Plans a backup in `folder`, which is emptied first. `previous`: the index to go on from, None: full; `redo`:
    paths to take whatever they look like. `stop` is asked, and `progress` gets (files, bytes), at each directory.

    Raises NoRoomError, NoSourcesError, StoppedError, DamagedIndexError, ArchiveError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    needed = RESERVE + (previous.stat().st_size if previous else 0)
    if free_bytes(folder) < needed:
        raise NoRoomError.of(folder, needed)
    work = Work(folder)
    with IndexWriter(work.index) as index, work.plan.open("wb") as plan, work.deleted.open("wb") as deleted:
        run = _Scan(header, folder, _Old(previous), redo, read_all, index, plan, deleted)
        plan.write(manifest.encode(header))
        run.run(stop, progress)
        for file in (plan, deleted):
            file.flush()
            os.fdatasync(file.fileno())
    found = Scan(
        files=run.files, bytes=run.bytes, entries=run.entries, deleted=run.deleted,
        state_files=index.files, state_bytes=index.bytes, report=run.report,
    )  # fmt: skip
    needed = RESERVE + _GROWTH * work.plan.stat().st_size
    if free_bytes(folder) < needed:
        raise NoRoomError.of(folder, needed)
    work.save(found)
    return found


class _Old:
    def __init__(self, path: Path | None) -> None:
        self._groups: Iterator[Group] = read_groups(path) if path is not None else iter(())
        self.head = next(self._groups, None)

    def take(self) -> Group:
        group, self.head = self.head, next(self._groups, None)
        if group is None:
            raise DamagedIndexError("nothing is left")
        return group

    def is_at(self, path: bytes, *, root: bool) -> bool:
        return self.head is not None and self.head.path == path and (self.head.bucket == _ROOT) == root

    def is_before(self, path: bytes, bucket: int) -> bool:
        return self.head is not None and self.head.key < (path.split(b"/"), bucket)

    def is_within(self, path: bytes) -> bool:
        return self.head is not None and (self.head.path == path or self.head.path.startswith(path + b"/"))


class _Scan:
    def __init__(
        self, header: Header, folder: Path, old: _Old, redo: Collection[str], read_all: bool,
        index: IndexWriter, plan: BinaryIO, deleted: BinaryIO,
    ) -> None:  # fmt: skip
        self._header = header
        self._folder = folder
        self._old = old
        self._read_all = read_all
        self._index = index
        self._plan = plan
        self._deleted = deleted
        self._redo: dict[bytes, set[bytes]] = {}  # Bound: the paths given
        for path in redo:
            parent, _, name = os.fsencode(path).rpartition(b"/")
            self._redo.setdefault(parent or name, set()).add(name if parent else b".")
        self._grown: tuple[bytes, Known] | None = None
        """A directory that grew large, with what it had before. Bound: walk.LARGE names."""
        self._folders: set[bytes] = set()
        """Changed folders still to come: each is planned right before its content, as tar wants it. Bound: folders
        of the walk ahead."""
        self._folder_planned = b""
        self._linked: dict[tuple[bytes, int, int], str] = {}  # Bound: MAX_LINKED
        self.report = Report()
        self.files = self.bytes = self.entries = self.deleted = 0

    def run(self, stop: Callable[[], bool], progress: Callable[[int, int], None]) -> None:
        there = 0
        without_files: list[bytes] = []  # Bound: the sources
        for name, source in sorted((n.encode(), s) for n, s in self._header.sources.items()):
            place, root = self._look(name, source)
            walk = Walk(name, place, self._folder, self._notice, excluder(source.exclude))
            before = self._index.files
            for found in self._of_source(walk, name, root):
                there += found.group.bucket == _ROOT and not found.is_lost
                self._take(walk, found)
                if stop():
                    raise StoppedError
                progress(self._index.files, self._index.bytes)
            if root is not None and self._index.files == before:
                without_files.append(name)
        if not there:
            raise NoSourcesError(", ".join(sorted(self._header.sources)))
        for name in without_files:
            self._notice(name, "source_empty" if self._index.files else "no_files", "")
        while self._old.head is not None:
            self._leave(self._old.take())

    def _look(self, name: bytes, source: ArchiveSource) -> tuple[bytes, os.stat_result | None]:
        """Its place with links resolved, and what stands there; None: nothing to read."""
        try:
            place = followed(source.root)
            return os.fsencode(place), os.lstat(place)
        except UntrustedLinkError as untrusted:
            self._notice(name, "source_unsafe", str(untrusted))
        except OSError as wrong:
            self._notice(name, "source_missing", wrong.strerror or "")
        return b"", None

    def _of_source(self, walk: Walk, name: bytes, found: os.stat_result | None) -> Iterator[Found]:
        if found is None:
            yield Found(Group(name, _ROOT, b"", b"", 0, 0), [], is_lost=True)
            return
        is_file = stat.S_ISREG(found.st_mode)
        facts = _FACTS.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)
        yield Found(Group(name, _ROOT, b".", facts, int(is_file), found.st_size if is_file else 0), [])
        if not is_file:
            yield from walk.groups(self._was_large)

    def _was_large(self, path: bytes) -> bool:
        self._pass_by(path, WHOLE)
        return self._old.is_at(path, root=False) and self._old.head is not None and self._old.head.bucket >= 0

    def _pass_by(self, path: bytes, bucket: int) -> None:
        while self._old.is_before(path, bucket):
            self._leave(self._old.take())

    def _leave(self, old: Group) -> None:
        """Not walked any more: stays if its source is left out, else the directory above drops it."""
        if old.source.decode() not in self._header.sources:
            self._index.write(old)

    def _take(self, walk: Walk, found: Found) -> None:
        group = found.group
        self._pass_by(group.path, min(group.bucket, WHOLE))
        if group.path in self._folders:
            self._folders.remove(group.path)
            self._plan_folder(walk, group.path)
        if found.is_lost:
            while self._old.is_within(group.path):
                self._index.write(self._old.take())
            return
        had = self._had(group)
        if had is not None:
            self._compare(walk, group, *had)
        self._index.write(_unsettled(group, time.time_ns() - SETTLED_NS))

    def _had(self, group: Group) -> tuple[Known, bool] | None:
        """And whether that is this group's alone; None: unchanged."""
        old, path = self._old, group.path
        if self._grown is not None and self._grown[0] == path and group.bucket > 0:
            return self._grown[1], group.bucket == BUCKETS - 1
        if not old.is_at(path, root=group.bucket == _ROOT) or old.head is None:
            return {}, True
        if old.head.bucket == group.bucket:
            was = old.take()
            is_known = was.is_like(group) and not self._read_all and path not in self._redo
            return None if is_known else (dict(_members(was)), True)
        if group.bucket >= 0:
            self._grown = path, dict(_members(old.take()))
            return self._grown[1], False
        return self._shrunk(group), True

    def _shrunk(self, group: Group) -> Known:
        """Of a directory that was large, what is still there."""
        known: Known = {}
        there = set(group.names.split(b"\0"))
        while self._old.is_at(group.path, root=False):
            for name, facts in _members(self._old.take()):
                if name in there:
                    known[name] = facts
                else:
                    self._delete(group.path, name)
        return known

    def _compare(self, walk: Walk, group: Group, known: Known, is_all: bool) -> None:
        """Plan what is new or changed; with `is_all` the rest of `known` is gone."""
        again = self._redo.get(group.path, set())
        changed: dict[bytes, bytes] = {}  # what each name had
        for name, facts in _members(group):
            kind = stat.S_IFMT(_MODE.unpack_from(facts, _MODE_AT)[0])
            was = known.pop(name, b"")
            if was != facts or name in again or (self._read_all and kind == stat.S_IFREG):
                if kind == stat.S_IFDIR and name != b".":
                    self._folders.add(group.path + b"/" + name)
                else:
                    changed[name] = was
        gone = list(known) if is_all else []
        self._leave_out_companions(walk, group, changed, gone)
        if changed or gone:
            self._plan_folder(walk, group.path)
        for name in sorted(changed.keys() - {b"."}):
            self._plan_entry(walk, group.path + b"/" + name)
        for name in gone:
            self._delete(group.path, name)

    def _leave_out_companions(self, walk: Walk, group: Group, changed: dict[bytes, bytes], gone: list[bytes]) -> None:
        """What SQLite keeps beside a database is in its snapshot; a written log makes the database changed."""
        for name in [name for name in (*changed, *gone) if name.endswith(COMPANIONS)]:
            base = next(name[: -len(ending)] for ending in COMPANIONS if name.endswith(ending))
            if not _is_database(walk.real(group.path) + b"/" + base):
                continue
            was = changed.pop(name, b"")
            if name in gone:
                gone.remove(name)
            if name.endswith(COMPANIONS[0]) and not (was and _is_as_written(was, dict(_members(group))[name])):
                changed[base] = b""

    def _plan_folder(self, walk: Walk, path: bytes) -> None:
        """Once, before its content: unpacking that changes the folder's time, so it is listed again."""
        if self._folder_planned != path:
            self._folder_planned = path
            self._plan_entry(walk, path)

    def _plan_entry(self, walk: Walk, path: bytes) -> None:
        shown, real = os.fsdecode(path), walk.real(path)
        try:
            found = os.lstat(real)
            entry = self._entry(shown, found, real)
            line = manifest.encode(entry)
        except OSError as wrong:
            self._notice(path, "vanished", wrong.strerror or "")
            return
        except ArchiveError as wrong:
            self._notice(path, "unlistable", wrong.detail)
            return
        self._plan.write(line)
        self.entries += 1
        if entry.kind == "file":
            self.files += 1
            self.bytes += min(entry.size, found.st_blocks * _BLOCK)  # a hole takes no room in the archive either
        if self.entries > MAX_ENTRIES:
            raise ArchiveError(TOO_LARGE, f"more than {MAX_ENTRIES} files, folders and links changed")
        if self.entries % _LOOK_EVERY == 0 and free_bytes(self._folder) < RESERVE:
            raise NoRoomError.of(self._folder)

    def _entry(self, path: str, found: os.stat_result, real: bytes) -> Entry:
        if stat.S_ISDIR(found.st_mode):
            return described(path, "dir", found)
        if stat.S_ISLNK(found.st_mode):
            return described(path, "symlink", found, link=str(Path(os.fsdecode(real)).readlink()))
        if found.st_nlink > 1:
            key = path.partition("/")[0].encode(), found.st_dev, found.st_ino
            first = self._linked.get(key)
            if first is not None:
                return described(path, "hardlink", found, link=first)
            if len(self._linked) < MAX_LINKED:
                self._linked[key] = path
        return described(path, "file", found)

    def _delete(self, path: bytes, name: bytes) -> None:
        self._deleted.write(manifest.encode(Deleted(path=os.fsdecode(path + b"/" + name))))
        self.deleted += 1
        if self.deleted > MAX_ENTRIES:
            raise ArchiveError(TOO_LARGE, f"more than {MAX_ENTRIES} files, folders and links are gone")

    def _notice(self, path: bytes, code: str, text: str) -> None:
        self.report.add(os.fsdecode(path), code, text)


def _members(group: Group) -> Iterator[tuple[bytes, bytes]]:
    if group.names:
        size = FACTS * 8
        for at, name in enumerate(group.names.split(b"\0")):
            yield name, group.facts[at * size : (at + 1) * size]


def _is_as_written(was: bytes, facts: bytes) -> bool:
    """Whether nobody wrote to it; SQLite may set the owner again on a read."""
    then, now = _FACTS.unpack(was), _FACTS.unpack(facts)
    is_settled = then[2] >= 0
    return is_settled and (then[:2], then[3]) == (now[:2], now[3])


def _is_database(real: bytes) -> bool:
    try:
        with Path(os.fsdecode(real)).open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except OSError:
        return False


def _unsettled(group: Group, settled_ns: int) -> Group:
    """With a time that never matches, for what changed so lately that it may change again unseen."""
    times = memoryview(group.facts).cast("q")[2::FACTS]
    if max(times, default=0) < settled_ns:
        return group
    facts = bytearray(group.facts)
    numbers = memoryview(facts).cast("q")
    for at in range(2, len(numbers), FACTS):
        if numbers[at] >= settled_ns:
            numbers[at] = -1
    return group._replace(facts=bytes(facts))
