"""How worn the disks are, as they report it themselves.

An eMMC tells everybody (sysfs), in steps of ten percent; an SD card has no such figure; an NVMe answers only root, who
notes it for everybody (device/privileged/disk_health.py)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from device.privileged import disk_health
from device.system_monitor.board import uptime
from device.system_monitor.reading import listed, text_of, why_not
from protocol.board import ABSENT, NOT_PERMITTED, NOT_REPORTED, UNREADABLE, BoardDisk
from protocol.limits import MAX_NAME, TEMPERATURE_MAX_C, TEMPERATURE_MIN_C

_MMC: Final = re.compile(r"mmcblk\d+\Z")
_NVME: Final = re.compile(r"(nvme\d+)n\d+\Z")
_RESERVE_USED: Final = {2: 80.0, 3: 90.0}
"""By JEDEC's PRE_EOL_INFO: percent of the reserve blocks, at least."""
Ask = Callable[[int], bytes]
"""Of an open NVMe controller: its health log. Raises OSError."""
OLDEST_S: Final = 3600.0
"""Of what root has noted, which is every ten minutes."""
_MOST_BYTES: Final = 16384


def disks(root: Path, ask: Ask = disk_health.health_log) -> Iterator[BoardDisk]:
    asked: set[str] = set()
    noted = noted_by_root(root)
    for block in listed(root / "sys/block", "*"):
        nvme = _NVME.match(block.name)
        if _MMC.match(block.name):
            yield _card(block)
        elif nvme and nvme[1] not in asked:
            asked.add(nvme[1])
            yield _nvme(root, nvme[1], noted, ask)


def _card(block: Path) -> BoardDisk:
    name = block.name[:MAX_NAME]
    if text_of(block / "device/type") == "SD":
        return BoardDisk(name=name, kind="sd", reason=NOT_REPORTED)
    steps = [_hex(word) for word in (text_of(block / "device/life_time") or "").split()]
    used = [(step - 1) * 10.0 for step in steps if step is not None and 1 <= step <= 11]
    reserve = _RESERVE_USED.get(_hex(text_of(block / "device/pre_eol_info") or "") or 0)
    known = [*used, *([] if reserve is None else [reserve])]
    return BoardDisk(name=name, kind="emmc", worn=max(known, default=None), reason=None if known else NOT_REPORTED)


def _hex(word: str) -> int | None:
    try:
        return int(word, 16)
    except ValueError:
        return None


def _nvme(root: Path, name: str, noted: Mapping[str, Any], ask: Ask) -> BoardDisk:
    """What root's timer has noted, else by a question of our own: an agent that is root may ask."""
    facts = noted.get(name)
    if not isinstance(facts, dict):
        try:
            facts = disk_health.ask_disk(root, name, ask)
        except OSError as error:
            why = why_not(error)
            # A hardened service sees no devices at all.
            return BoardDisk(name=name, kind="nvme", reason=NOT_PERMITTED if why == ABSENT else why)
    worn = _figure(facts, "worn", 0, 255)
    why_none = UNREADABLE if "reason" in facts else NOT_REPORTED
    return BoardDisk(
        name=name,
        kind="nvme",
        worn=worn,
        spare=_figure(facts, "spare", 0, 100),
        celsius=_figure(facts, "celsius", TEMPERATURE_MIN_C, TEMPERATURE_MAX_C),
        reason=why_none if worn is None else None,
    )


def _figure(facts: Mapping[str, Any], key: str, least: float, most: float) -> float | None:
    value = facts.get(key)
    return float(value) if type(value) is int and least <= value <= most else None


def noted_by_root(root: Path) -> dict[str, Any]:
    """By name; {} without a file that root has written lately. Its age is by the time since the start, as the clock of
    a machine may jump."""
    path = root / "run" / disk_health.FOLDER / disk_health.FILE
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
                return {}
            noted = msgspec.json.decode(file.read(_MOST_BYTES))
        age_s = (uptime(root).value or 0.0) - noted["uptime_s"]
        return noted["disks"] if -1 <= age_s <= OLDEST_S and isinstance(noted["disks"], dict) else {}
    except (OSError, msgspec.DecodeError, RecursionError, KeyError, TypeError):
        return {}
