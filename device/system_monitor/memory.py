"""How much memory is taken, from /proc/meminfo."""

from __future__ import annotations

from pathlib import Path

from device.system_monitor.reading import Reading, absent, percent, text_of


def memory_usage(root: Path) -> Reading:
    """Percent of memory that programs could not have without pushing something out."""
    sizes = _sizes(root)
    total = sizes.get("MemTotal", 0)
    if total <= 0:
        return absent("no memory figures")
    # Kernels before 3.14 do not say MemAvailable; this is what it replaced.
    guess = sizes.get("MemFree", 0) + sizes.get("Buffers", 0) + sizes.get("Cached", 0)
    return Reading(percent(total - sizes.get("MemAvailable", guess), total))


def memory_bytes(root: Path) -> int | None:
    """The size of the memory, None when unknown."""
    total_kib = _sizes(root).get("MemTotal", 0)
    return total_kib * 1024 if total_kib > 0 else None


def _sizes(root: Path) -> dict[str, int]:
    sizes = {}
    for line in (text_of(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            sizes[name] = int(words[0])
    return sizes
