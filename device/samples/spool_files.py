"""The files of a spool: opened, appended to, scanned, and dropped from the oldest on when room is short.

A file holds records of one boot, numbered without gaps. Its name holds its place, the boot, its first number, and
whether it continues the file before it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from device.kernel import records, state_file

_NAME: Final = re.compile(r"^(\d{10})-([cs])-(\d{1,19})-([0-9A-Za-z-]{1,64})\.spool$")
_PLAIN: Final = re.compile(r"^[0-9A-Za-z-]{1,64}$")


def boot_name(boot_id: str) -> str:
    """The boot's id as a part of a file name; a digest when it holds anything unusual."""
    return boot_id if _PLAIN.match(boot_id) else hashlib.sha256(boot_id.encode()).hexdigest()[:32]


@dataclass
class Segment:
    """One file. `last`: the highest number in it (first - 1 when none), `count`: intact records, `torn`: other bytes
    follow them."""

    path: Path
    index: int
    continues: bool
    first: int
    boot: str
    last: int = 0
    count: int = 0
    size: int = 0
    torn: bool = False

    @classmethod
    def named(cls, folder: Path, index: int, continues: bool, first: int, boot: str) -> Segment:
        path = folder / f"{index:010d}-{'c' if continues else 's'}-{first}-{boot}.spool"
        return cls(path, index, continues, first, boot, last=first - 1)

    @classmethod
    def opened(cls, path: Path) -> Segment | None:
        """Read a file of an earlier life. None: it is not one of ours. Raises OSError."""
        match = _NAME.match(path.name)
        if match is None:
            return None
        segment = cls(path, int(match[1]), match[2] == "c", int(match[3]), match[4])
        segment.last, end = segment.first - 1, 0
        for record in segment.scan():
            segment.last = max(segment.last, record.seq)
            segment.count += 1
            end = record.end
        segment.size = path.stat().st_size
        segment.torn = segment.size > end
        return segment

    def scan(self, offset: int = 0) -> Iterator[records.Record]:
        try:
            data = self.path.read_bytes()
        except OSError:
            return
        for record in records.scan(data, offset):
            if record.seq >= self.first:
                yield record

    def unacknowledged(self, acked: int) -> int:
        """How many records lie above `acked`; reads the file only when it holds records on both sides."""
        if acked < self.first:
            return self.count
        if acked >= self.last:
            return 0
        return sum(record.seq > acked for record in self.scan())

    def lost(self, expected_last: int) -> int:
        """How many records are unreadable, if the file once ended at `expected_last` (0: unknown)."""
        return max(0, max(expected_last, self.last + self.torn) - self.first + 1 - self.count)


Acked = Callable[[str], int]


class StoredRecord(NamedTuple):
    seq: int
    payload: bytes
    segment: int
    end: int


@dataclass
class Counters:
    """Since opening: records dropped for room, damaged records, refused writes."""

    dropped: int = 0
    damaged: int = 0
    write_errors: int = 0


class SpoolFiles:
    """All files of a spool. `acked(boot)`: the highest acknowledged number; what it covers is not counted when it is
    dropped."""

    def __init__(self, folder: Path, boot: str, limit: int, segment_size: int, acked: Acked) -> None:
        self.folder = folder
        self.counters = Counters()
        # Bound: the limit on disk, in files of at least one record.
        self.segments: list[Segment] = []
        self.dirty = False
        self._boot = boot
        self._limit = limit
        self._segment_size = segment_size
        self._acked = acked
        self._handle: int | None = None  # of the last segment, while it is written
        self._wrote_until = -1
        self._next_index = 0

    def load(self, last_known: dict[str, int]) -> None:
        """Scan an earlier life's files, count damage, remove what is acknowledged."""
        for path in sorted(self.folder.glob("*.spool")):
            with contextlib.suppress(OSError):
                segment = Segment.opened(path)
                if segment is not None:
                    self.segments.append(segment)
        self._next_index = max((s.index + 1 for s in self.segments), default=0)
        newest = {segment.boot: segment for segment in self.segments}
        following = {segment.index: segment for segment in self.segments}
        for segment in self.segments:
            after = following.get(segment.index + 1)
            if after is not None and after.continues and after.boot == segment.boot:
                expected = after.first - 1
            else:
                expected = last_known.get(segment.boot, 0) if newest[segment.boot] is segment else 0
            self.counters.damaged += segment.lost(expected)
        for segment in list(self.segments):
            if segment.count == 0 or segment.last <= self._acked(segment.boot):
                self._remove(segment)

    def last_number(self) -> int:
        """The highest number that this boot may have given out, judged by its files."""
        return max((s.last + s.torn for s in self.segments if s.boot == self._boot), default=0)

    def write(self, seq: int, payload: bytes, *, may_drop: bool) -> bool:
        """Append a record. False: the disk refuses. A full disk costs the oldest file if it `may_drop`."""
        data = records.pack(seq, payload)
        try:
            self._make_room(len(data))
            self._append(seq, data)
        except OSError as error:
            self.counters.write_errors += 1
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            return full and may_drop and self._drop_oldest() and self.write(seq, payload, may_drop=False)
        return True

    def flush(self) -> int:
        """Have what was written survive a power cut; returns the last number written. Raises OSError."""
        if self._handle is not None:
            os.fdatasync(self._handle)
        state_file.sync_folder(self.folder)
        self.dirty = False
        return self._wrote_until

    def seal(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.fdatasync(self._handle)
            os.close(self._handle)
            self._handle = None

    def free(self, boot: str, seq: int) -> None:
        """Remove the files of `boot` with nothing above `seq`, but not the one being written."""
        writing = self.segments[-1] if self._handle is not None else None
        for segment in [s for s in self.segments if s.boot == boot and s.last <= seq and s is not writing]:
            self._remove(segment)

    def walk(self, boot: str, after: int, start: tuple[int, int]) -> Iterator[StoredRecord]:
        """Yield the records of `boot` above `after`; `start`: (segment, offset) where reading may begin."""
        for segment in self.segments:
            if segment.boot == boot and segment.last > after:
                offset = start[1] if start[0] == segment.index else 0
                for record in segment.scan(offset):
                    if record.seq > after:
                        yield StoredRecord(record.seq, record.payload, segment.index, record.end)

    def _append(self, seq: int, data: bytes) -> None:
        """Write a record, into a new file where need be. Raises OSError, and then nothing of the record stays."""
        segment = self.segments[-1] if self._handle is not None else None
        handle = self._handle
        if (
            segment is None
            or handle is None
            or seq != segment.last + 1
            or segment.size + len(data) > self._segment_size
        ):
            segment, handle = self._begin(seq)
        written = os.write(handle, data)
        if written != len(data):
            os.ftruncate(handle, segment.size)
            raise OSError(errno.ENOSPC, "the disk took only part of a record")
        segment.size += written
        segment.last = self._wrote_until = seq
        segment.count += 1
        self.dirty = True

    def _begin(self, seq: int) -> tuple[Segment, int]:
        continues = bool(self.segments) and self._wrote_until == seq - 1
        segment = Segment.named(self.folder, self._next_index, continues, seq, self._boot)
        handle = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.seal()
        self._handle = handle
        self._next_index += 1
        self.segments.append(segment)
        return segment, handle

    def _make_room(self, size: int) -> None:
        while self.segments and sum(s.size for s in self.segments) + size > self._limit:
            self._drop_oldest(even_the_last=True)

    def _drop_oldest(self, *, even_the_last: bool = False) -> bool:
        """Remove the oldest file, acknowledged or not. False: there is only the one being written."""
        if len(self.segments) < (1 if even_the_last else 2):
            return False
        oldest = self.segments[0]
        self.counters.dropped += oldest.unacknowledged(self._acked(oldest.boot))
        if len(self.segments) == 1:
            self.seal()
        self._remove(oldest)
        return True

    def _remove(self, segment: Segment) -> None:
        with contextlib.suppress(OSError):
            segment.path.unlink()
        self.segments.remove(segment)
        self.dirty = True
