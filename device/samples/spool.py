"""Keeps samples on disk until the hub has them. For one thread at a time.

What `append` returned survives kill -9; what `sync` covered survives a power cut. Numbers only grow within a boot.
Only `acknowledge` frees; when the limit or the disk is full the oldest file is dropped. Damage costs the damaged
records, counted. While the disk refuses, the newest records stay in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from device.kernel import records, state_file
from device.samples.spool_files import Counters, SpoolFiles, StoredRecord, boot_name

DEFAULT_LIMIT: Final = 64 * 1024 * 1024
SEGMENTS: Final = 256
"""So many that dropping the oldest loses little."""
MAX_UNWRITTEN: Final = 1000
_POSITION: Final = "position"


class Batch(NamedTuple):
    """Consecutive records of one boot, numbered without gaps; `seq`: the last one's number."""

    boot: str
    seq: int
    payloads: list[bytes]


class Position(msgspec.Struct):
    """What is acknowledged, stored beside the records; losing it costs repetition, never samples."""

    acked: dict[str, int] = {}
    last: dict[str, int] = {}


class SampleSpool:
    """Numbers samples and keeps them until they are acknowledged. `floor_seq`: no earlier life of this boot can have
    reached it."""

    def __init__(
        self, folder: Path, boot_id: str, *, floor_seq: int = 1, limit: int = DEFAULT_LIMIT, segment_size: int = 0
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.boot = boot_name(boot_id)
        self._position_file = folder / _POSITION
        self._position = state_file.read_value(self._position_file, Position) or Position()
        self._files = SpoolFiles(folder, self.boot, limit, segment_size or max(limit // SEGMENTS, 4096), self.acked)
        self._files.load(self._position.last)
        known = max(self._files.last_number(), self._position.last.get(self.boot, 0), self.acked(self.boot))
        # Far above where they were: files may be damaged, or those of an agent that ran meanwhile may stand elsewhere.
        self._next = max(floor_seq, known + 1)
        self._last = known
        # Bound: MAX_UNWRITTEN, the oldest is dropped and counted.
        self._unwritten: deque[tuple[int, bytes]] = deque()
        self._position_dirty = False
        self._cursor: tuple[int, int, int] = (-1, 0, 0)  # number read up to, segment, offset behind it

    @property
    def counters(self) -> Counters:
        return self._files.counters

    @property
    def last_seq(self) -> int:
        """The highest number given out in this boot, acknowledged or not; 0 before the first."""
        return self._last

    @property
    def idle(self) -> bool:
        return not (self._files.dirty or self._position_dirty or self._unwritten)

    def append(self, payload: bytes) -> int:
        """Keep a record of at most 64 KiB; returns its number. Never raises for a full or broken disk."""
        if len(payload) > records.MAX_PAYLOAD:
            raise ValueError(f"a record may have {records.MAX_PAYLOAD} bytes, not {len(payload)}")
        seq = self._last = self._next
        self._next += 1
        self._unwritten.append((seq, payload))
        self._write_out(may_drop=True)
        if len(self._unwritten) > MAX_UNWRITTEN:
            self._unwritten.popleft()
            self.counters.dropped += 1
        return seq

    def sync(self) -> None:
        """Flush to disk, and write again what the disk refused."""
        self._write_out(may_drop=False)
        try:
            if self._files.dirty:
                written = self._files.flush()
                if written >= 0:
                    self._position.last[self.boot] = written
                    self._position_dirty = True
            if self._position_dirty:
                state_file.write_value(self._position_file, self._position)
                self._position_dirty = False
        except OSError:
            self.counters.write_errors += 1

    def close(self) -> None:
        self.sync()
        self._files.seal()

    def acked(self, boot: str | None = None) -> int:
        """The highest acknowledged number of a boot (default: this one)."""
        return self._position.acked.get(boot or self.boot, 0)

    def pending(self) -> int:
        on_disk = sum(s.unacknowledged(self.acked(s.boot)) for s in self._files.segments)
        return on_disk + len(self._unwritten)

    def read(self, after: int, limit: int, max_bytes: int) -> Batch | None:
        """The records of this boot above `after`: at most `limit` and `max_bytes`, without gaps; None: there is
        none."""
        return self._read(self.boot, after, limit, max_bytes)

    def read_leftovers(self, limit: int, max_bytes: int) -> Batch | None:
        """The oldest unacknowledged records of an earlier boot, or None."""
        for boot in dict.fromkeys(s.boot for s in self._files.segments if s.boot != self.boot):
            batch = self._read(boot, self.acked(boot), limit, max_bytes)
            if batch is not None:
                return batch
        return None

    def read_pending(self, limit: int, max_bytes: int) -> Batch | None:
        """The oldest unacknowledged records of any boot, or None."""
        return self.read_leftovers(limit, max_bytes) or self.read(self.acked(), limit, max_bytes)

    def acknowledge(self, seq: int, boot: str | None = None) -> None:
        """Free everything of `boot` up to `seq`; a number never given out frees nothing."""
        boot = boot or self.boot
        of_boot = [s.last for s in self._files.segments if s.boot == boot]
        seq = min(seq, self._last if boot == self.boot else max(of_boot, default=0))
        if seq <= self.acked(boot):
            return
        self._position.acked[boot] = seq
        self._position_dirty = True
        while boot == self.boot and self._unwritten and self._unwritten[0][0] <= seq:
            self._unwritten.popleft()
        self._files.free(boot, seq)
        alive = {self.boot, *(s.boot for s in self._files.segments)}
        for marks in (self._position.acked, self._position.last):
            for gone in [known for known in marks if known not in alive]:
                del marks[gone]

    def _write_out(self, *, may_drop: bool) -> None:
        while self._unwritten:
            seq, payload = self._unwritten[0]
            if not self._files.write(seq, payload, may_drop=may_drop):
                return
            self._unwritten.popleft()

    def _read(self, boot: str, after: int, limit: int, max_bytes: int) -> Batch | None:
        payloads: list[bytes] = []
        size, last = 0, -1
        for place in self._walk(boot, after):
            size += len(place.payload)
            if payloads and (place.seq != last + 1 or len(payloads) >= limit or size > max_bytes):
                break
            payloads.append(place.payload)
            last = place.seq
            self._cursor = (last, place.segment, place.end)
        return Batch(boot, last, payloads) if payloads else None

    def _walk(self, boot: str, after: int) -> Iterator[StoredRecord]:
        start = self._cursor[1:] if self._cursor[0] == after else (-1, 0)
        yield from self._files.walk(boot, after, start)
        if boot == self.boot:
            yield from (StoredRecord(seq, payload, -1, 0) for seq, payload in self._unwritten if seq > after)
