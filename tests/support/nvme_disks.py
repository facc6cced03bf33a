"""Health logs of NVMe disks, laid out by the specification's own table, and folders in which such a disk stands.

The first two are what public reports of smartctl show (linux-hardware.org, probe 543d2dfef7; an Apple AP0256Z)."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import Final

from tests.device.trees import write

BYTES: Final = 512
COUNTERS: Final = (
    "units_read", "units_written", "reads", "writes", "busy", "cycles", "hours", "unsafe", "errors", "log_entries",
)  # fmt: skip
"""Of 16 bytes each, from byte 32 on."""


def log(*, warning: int, celsius: int, spare: int, threshold: int, used: int, **counters: int) -> bytes:
    page = bytearray(BYTES)
    page[0] = warning
    page[1:3] = struct.pack("<H", celsius + 273)
    page[3], page[4], page[5] = spare, threshold, used
    for number, name in enumerate(COUNTERS):
        page[32 + 16 * number : 48 + 16 * number] = counters.get(name, 0).to_bytes(16, "little")
    return bytes(page)


SAMSUNG: Final = log(
    warning=0, celsius=44, spare=100, threshold=5, used=0, units_read=1_699_027, units_written=17_586_666,
    reads=16_394_111, writes=136_342_875, busy=402, cycles=381, hours=145, unsafe=79, log_entries=499,
)  # fmt: skip
APPLE: Final = log(
    warning=0, celsius=32, spare=100, threshold=99, used=2, units_read=107_103_479, units_written=62_786_553,
    reads=2_354_229_498, writes=852_488_786, cycles=151, hours=870, unsafe=9,
)  # fmt: skip
WORN_OUT: Final = log(warning=0b1001, celsius=71, spare=3, threshold=10, used=255, hours=61_000)


def with_disk(root: Path, name: str = "nvme0", number: tuple[int, int] = (1, 3)) -> Path:
    """A controller whose device is really one (/dev/null's, which refuses the question); needs root."""
    (root / "dev").mkdir(exist_ok=True)
    os.mknod(root / "dev" / name, stat.S_IFCHR | 0o600, os.makedev(*number))
    write(root / f"sys/class/nvme/{name}", {"dev": f"{number[0]}:{number[1]}\n"})
    (root / f"sys/block/{name}n1").mkdir(parents=True)
    return root
