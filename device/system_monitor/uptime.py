"""How long the machine has been running, from /proc/uptime."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from device.system_monitor.reading import Reading, absent, text_of

LONGEST_S: Final = 1e10
"""Three centuries."""


def uptime(root: Path) -> Reading:
    """Seconds since boot."""
    words = (text_of(root / "proc/uptime") or "").split()
    try:
        seconds = float(words[0])
    except (IndexError, ValueError):
        return absent("the kernel does not say")
    return Reading(round(seconds, 1)) if 0 <= seconds < LONGEST_S else absent("the kernel says nonsense")
