"""What is mounted where, as the kernel has it for this process: also folders bound to a place, as a unit's
ReadWritePaths= are. Nothing can be renamed or linked from one mount to another, on one disk or two."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LIST: Final = Path("/proc/self/mountinfo")
_PLACE: Final = 4
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")


def mount_points(listed: bytes | None = None) -> list[str]:
    """Each once. `listed`: as in mountinfo, or the kernel's own; empty where that does not say."""
    if listed is None:
        try:
            listed = _LIST.read_bytes()
        except OSError:
            return []
    places = (line.split(b" ")[_PLACE] for line in listed.splitlines() if line.count(b" ") > _PLACE)
    return sorted({os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), place)) for place in places})


def mounted_below(folder: str) -> list[str]:
    """Its path has no links."""
    return [point for point in mount_points() if point.startswith(folder.rstrip("/") + "/")]


def is_mounted(path: str) -> bool:
    return path in mount_points()


def mount_of(path: str) -> str:
    """Where that is mounted on which the path is; it has no links."""
    above = [point for point in mount_points() if f"{path}/".startswith(point.rstrip("/") + "/")]
    return max(above, key=len, default="/")


def remove_tree(folder: str) -> None:
    """What can be removed of it. What is mounted in it stays, with all that it holds."""
    _remove(folder, mounted_below(folder))


def _remove(folder: str, mounted: Iterable[str]) -> None:
    inside = [point for point in mounted if point.startswith(folder + "/")]
    if not inside:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in list(found):
            if entry.path in inside:
                continue
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path, inside)
            else:
                os.unlink(entry.path)  # noqa: PTH108 - as the paths are kept
