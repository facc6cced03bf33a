"""Writes down how worn the NVMe disks are, in a file that everybody may read.

The kernel lets only CAP_SYS_ADMIN ask a disk for its health log, which changes nothing on it. So root does, by a timer:
nothing that the agent or anybody else sends becomes a part of what is asked. One file of the standard library for
Python 3.8 and newer, as the privileged daemon; the folder for the file is systemd's (RuntimeDirectory=).

    {"uptime_s": 86400.2, "disks": {"nvme0": {"worn": 3, "spare": 100, "celsius": 41}, "nvme1": {"reason": "..."}}}
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import stat
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "myrvm-disk-health"
FILE = "health.json"
SHOWN = 8
"""Disks; of more the first."""
PAGE_BYTES = 512

_NAME = re.compile(r"nvme[0-9]{1,3}\Z")
_ADMIN_COMMAND = 0xC0484E41
"""NVME_IOCTL_ADMIN_CMD of linux/nvme_ioctl.h, with a struct of 72 bytes."""
_COMMAND = struct.Struct("=BBHIIIQQIIIIIIIIII")
_GET_LOG_PAGE = 0x02
_SMART = 0x02
_ALL_NAMESPACES = 0xFFFFFFFF
_TIMEOUT_MS = 0
"""The kernel's own, a minute: a disk that has not answered by then is reset by it, so a shorter one of ours would take
a disk away that is only busy, with the system on it."""
_HEAD = struct.Struct("<BHBBB")
"""Of the log: warnings, kelvins, spare left, its threshold, life used (NVM Express base specification, log 02h)."""
_KELVIN = 273


def smart_command(address: int) -> bytes:
    """The one question: the health log of the whole controller, into the memory at `address`."""
    dwords = (PAGE_BYTES // 4 - 1) << 16 | _SMART
    return _COMMAND.pack(
        _GET_LOG_PAGE, 0, 0, _ALL_NAMESPACES, 0, 0, 0, address, 0, PAGE_BYTES, dwords, 0, 0, 0, 0, 0, _TIMEOUT_MS, 0
    )


def health_log(handle: int) -> bytes:
    """Of an open controller. Raises OSError."""
    page = ctypes.create_string_buffer(PAGE_BYTES)
    if fcntl.ioctl(handle, _ADMIN_COMMAND, bytearray(smart_command(ctypes.addressof(page)))) != 0:
        raise OSError("the disk refuses its health log")
    return page.raw


def health_of(log: bytes) -> dict[str, int]:
    """Percent of life used (may exceed 100) and of the spare blocks left, degrees C; without what it does not tell."""
    _, kelvins, spare, _, worn = _HEAD.unpack_from(log)
    if not any(log):  # no log at all: also a new disk has spare blocks and a temperature
        return {}
    told = {"worn": worn}
    if spare <= 100:
        told["spare"] = spare
    if kelvins:
        told["celsius"] = kelvins - _KELVIN
    return told


def ask_disk(root: Path, name: str, ask: Callable[[int], bytes] = health_log) -> dict[str, int]:
    """Of the controller that the kernel has under this name, and of no other file there. Raises OSError."""
    handle = os.open(root / "dev" / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        facts = os.fstat(handle)
        number = f"{os.major(facts.st_rdev)}:{os.minor(facts.st_rdev)}"
        known = "unknown to the kernel"
        with contextlib.suppress(FileNotFoundError):
            known = (root / "sys/class/nvme" / name / "dev").read_bytes()[:32].decode("ascii", "replace").strip()
        if not stat.S_ISCHR(facts.st_mode) or number != known:
            raise OSError(f"{name} is not the device that the kernel has there ({known})")
        log = ask(handle)
        if len(log) != PAGE_BYTES:
            raise OSError(f"a health log of {len(log)} bytes")
        return health_of(log)
    finally:
        os.close(handle)


def look(root: Path, ask: Callable[[int], bytes] = health_log) -> dict[str, dict[str, Any]]:
    try:
        names = sorted(path.name for path in (root / "sys/class/nvme").iterdir() if _NAME.match(path.name))
    except OSError:
        return {}
    return {name: _facts(root, name, ask) for name in names[:SHOWN]}


def _facts(root: Path, name: str, ask: Callable[[int], bytes]) -> dict[str, Any]:
    try:
        return dict(ask_disk(root, name, ask))
    except OSError as error:
        return {"reason": error.strerror or str(error)}


def write(folder: Path, disks: dict[str, dict[str, Any]]) -> None:
    """All of it or nothing; systemd's folder is root's alone. Raises OSError."""
    beside = folder / f".{FILE}"
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as new:
        os.fchmod(new.fileno(), 0o644)
        json.dump({"uptime_s": round(time.clock_gettime(time.CLOCK_BOOTTIME), 1), "disks": disks}, new)
    beside.replace(folder / FILE)


def main(root: Path, folder: Path, ask: Callable[[int], bytes] = health_log) -> int:
    disks = look(root, ask)
    try:
        write(folder, disks)
    except OSError as error:
        print(f"<3>{folder / FILE}: {error.strerror or error}", file=sys.stderr)
        return 1
    for name, facts in disks.items():  # a line of the journal for each question
        told = ", ".join(f"{key} {value}" for key, value in facts.items()) or "tells nothing"
        print(f"<{4 if 'reason' in facts else 5}>{name}: {ascii(told)[1:-1]}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 1 or not os.environ.get("RUNTIME_DIRECTORY"):
        sys.exit("<3>myrvm-disk-health.service starts this; it does nothing by hand")
    sys.exit(main(Path("/"), Path(os.environ["RUNTIME_DIRECTORY"])))
