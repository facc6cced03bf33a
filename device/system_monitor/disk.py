"""How full the file system under a path is, as `df` says it."""

from __future__ import annotations

import os
from pathlib import Path

from device.system_monitor.reading import Reading, absent, percent


def disk_usage(path: Path) -> Reading:
    """Percent used of what an ordinary user may use."""
    try:
        stat = os.statvfs(path)
    except OSError as error:
        return absent(f"no answer from the disk: {error.strerror or 'error'}")
    used = stat.f_blocks - stat.f_bfree
    usable = used + stat.f_bavail
    return Reading(percent(used, usable)) if usable > 0 else absent("a file system without size")
