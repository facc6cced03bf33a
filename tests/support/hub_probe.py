"""Inside a hub under test: how long its event loop was blocked, told to the test by a file.

On a busy computer a thread is also late because others had the processor. The kernel counts that time, and it is taken
off: what remains is what the hub itself did to its loop (or a system call that did not return).
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from hub.server.process import LoopLag

FILE = "test-loop-lag.json"
_SCHEDULER = Path("/proc/self/schedstat")
"""Of the main thread: nanoseconds it ran, nanoseconds it was ready and waited for a processor, how often."""


def waited_s() -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(_SCHEDULER.read_text().split()[1]) / 1e9
    return 0.0


def watch(folder: Path) -> None:
    """From now on write the longest block of this process to `folder`."""
    original, start_over, longest, before = LoopLag.note, LoopLag.reset, 0.0, waited_s()

    def note(self: LoopLag, late: float, now: float) -> None:
        nonlocal longest, before
        original(self, late, now)
        so_far = waited_s()
        own, before = late - (so_far - before), so_far
        if own > longest:
            longest = own
            (folder / FILE).write_text(json.dumps({"own_s": own, "late_s": late}))

    def reset(self: LoopLag) -> None:
        nonlocal longest, before
        start_over(self)
        longest, before = 0.0, waited_s()
        (folder / FILE).unlink(missing_ok=True)

    kind: Any = LoopLag
    kind.note, kind.reset = note, reset


def longest_block_s(folder: Path) -> float:
    """The longest block of the hub with this data folder, in its newest life."""
    try:
        return float(json.loads((folder / FILE).read_text())["own_s"])
    except (OSError, ValueError):
        return 0.0
