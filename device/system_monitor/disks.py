"""How worn the disks are, as they report it themselves.

An eMMC tells everybody (sysfs), in steps of ten percent; an SD card has no such figure; an NVMe answers only root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from device.system_monitor.reading import listed, text_of, why_not
from protocol.board import ABSENT, NOT_PERMITTED, NOT_REPORTED, UNREADABLE, BoardDisk
from protocol.limits import MAX_NAME

_MMC: Final = re.compile(r"mmcblk\d+\Z")
_NVME: Final = re.compile(r"(nvme\d+)n\d+\Z")
_RESERVE_USED: Final = {2: 80.0, 3: 90.0}
"""By JEDEC's PRE_EOL_INFO: percent of the reserve blocks, at least."""

Ask = Callable[[int], int]
"""Of an open NVMe device: percent used. Raises OSError."""


def disks(root: Path, ask: Ask | None = None) -> Iterator[BoardDisk]:
    asked = set()
    for block in listed(root / "sys/block", "*"):
        nvme = _NVME.match(block.name)
        if _MMC.match(block.name):
            yield _card(block)
        elif nvme and nvme[1] not in asked:
            asked.add(nvme[1])
            yield _nvme(root / "dev" / nvme[1], ask or percentage_used)


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


def _nvme(device: Path, ask: Ask) -> BoardDisk:
    name = device.name
    try:
        handle = os.open(device, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        why = why_not(error)
        # A hardened service sees no devices at all.
        return BoardDisk(name=name, kind="nvme", reason=NOT_PERMITTED if why == ABSENT else why)
    try:
        if not stat.S_ISCHR(os.fstat(handle).st_mode):
            return BoardDisk(name=name, kind="nvme", reason=UNREADABLE)
        return BoardDisk(name=name, kind="nvme", worn=float(ask(handle)))
    except OSError as error:
        return BoardDisk(name=name, kind="nvme", reason=why_not(error))
    finally:
        os.close(handle)


_ADMIN_COMMAND: Final = 0xC0484E41
"""NVME_IOCTL_ADMIN_CMD of linux/nvme_ioctl.h, with a struct of 72 bytes."""
_COMMAND: Final = struct.Struct("=BBHIIIQQIIIIIIIIII")
_GET_LOG_PAGE: Final = 0x02
_SMART: Final = 0x02
_ALL_NAMESPACES: Final = 0xFFFFFFFF
_PAGE_BYTES: Final = 512
_PERCENTAGE_USED: Final = 5
_TIMEOUT_MS: Final = 1000


def smart_command(address: int) -> bytes:
    """Asks for the health log, which changes nothing on the device."""
    dwords = (_PAGE_BYTES // 4 - 1) << 16 | _SMART
    return _COMMAND.pack(
        _GET_LOG_PAGE, 0, 0, _ALL_NAMESPACES, 0, 0, 0, address, 0, _PAGE_BYTES, dwords, 0, 0, 0, 0, 0, _TIMEOUT_MS, 0
    )


def percentage_used(handle: int) -> int:
    """Raises OSError."""
    page = ctypes.create_string_buffer(_PAGE_BYTES)
    if fcntl.ioctl(handle, _ADMIN_COMMAND, bytearray(smart_command(ctypes.addressof(page)))) != 0:
        raise OSError("the NVMe refuses its health log")
    return page.raw[_PERCENTAGE_USED]
