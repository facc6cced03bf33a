"""How long the machine has been running, from /proc/uptime."""

from __future__ import annotations

from pathlib import Path

from device.system_monitor.reading import Reading, absent, text_of


def read(root: Path) -> Reading:
    """Seconds since boot."""
    words = (text_of(root / "proc/uptime") or "").split()
    try:
        return Reading(round(float(words[0]), 1))
    except (IndexError, ValueError):
        return absent("the kernel does not say")
