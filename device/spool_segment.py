"""One file of the spool: records of one boot, numbered without gaps, appended and never changed.

Everything that must survive damage to the content is in the file's name: its place, the boot, its first number, and
whether it continues the file before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device import records

_NAME: Final = re.compile(r"^(\d{10})-([cs])-(\d{1,19})-([0-9A-Za-z-]{1,64})\.spool$")
_PLAIN: Final = re.compile(r"^[0-9A-Za-z-]{1,64}$")


def boot_name(boot_id: str) -> str:
    """The boot id as it may stand in a file name: itself, or a digest when it holds anything unusual."""
    return boot_id if _PLAIN.match(boot_id) else hashlib.sha256(boot_id.encode()).hexdigest()[:32]


@dataclass
class Segment:
    """`last` is the highest number found in it (first - 1 when none), `count` how many intact records it holds,
    `torn` whether bytes that are no record follow them."""

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
        """A segment that is about to be written."""
        path = folder / f"{index:010d}-{'c' if continues else 's'}-{first}-{boot}.spool"
        return cls(path, index, continues, first, boot, last=first - 1)

    @classmethod
    def opened(cls, path: Path) -> Segment | None:
        """An existing file, looked through once; None when it is not one of ours. Raises OSError."""
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
        """The intact records from `offset` on; a file that cannot be read holds none."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return
        for record in records.scan(data, offset):
            if record.seq >= self.first:
                yield record

    def unacknowledged(self, acked: int) -> int:
        """How many records lie above `acked`; looks into the file only when `acked` lies inside it."""
        if acked < self.first:
            return self.count
        if acked >= self.last:
            return 0
        return sum(record.seq > acked for record in self.scan())

    def lost(self, expected_last: int) -> int:
        """How many of its records can no longer be read, if it once ended at `expected_last` (0 = nobody knows)."""
        return max(0, max(expected_last, self.last + self.torn) - self.first + 1 - self.count)
