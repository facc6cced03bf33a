"""The constant facts of `hello`, each a function of a root folder."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from device.system_monitor import board, jetson, sensors
from device.system_monitor.reading import text_of
from protocol import free_shape
from protocol.limits import MAX_HARDWARE_BYTES, MAX_NAME

_NO_MODEL: Final = frozenset({"", "none", "default string", "to be filled by o.e.m.", "system product name"})
_MACHINE_ID: Final = re.compile(r"^[0-9a-f]{32}$")
_ZONE: Final = re.compile(r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$")

MAX_SERVICES: Final = 50


def boot_id(root: Path) -> str:
    """New for this process where the kernel has none."""
    return (text_of(root / "proc/sys/kernel/random/boot_id") or uuid.uuid4().hex)[:MAX_NAME]


def boot_milliseconds(root: Path) -> int:
    """Since boot; grows with each start of an agent."""
    seconds = board.uptime(root).value
    return 1 if seconds is None else max(1, int(seconds * 1000))


def describe(root: Path, services: Collection[str] = ()) -> dict[str, Any]:
    """What is unknown is left out. `services`: may be restarted from the hub."""
    facts = {
        "model": model(root),
        "cores": _cores(root),
        "memory_bytes": sensors.memory_bytes(root),
        "os": _os_name(root),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "l4t": jetson.l4t(root),
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "services": sorted(services)[:MAX_SERVICES],
        "board_serial": board_serial(root),
        "machine_id": machine_id(root),
    }
    return {name: value for name, value in facts.items() if value not in (None, "", [])}


def fitted(facts: dict[str, Any]) -> dict[str, Any]:
    """Without the largest facts (MAX_HARDWARE_BYTES)."""
    kept = dict(facts)
    while not free_shape.fits(kept, MAX_HARDWARE_BYTES):
        del kept[max(kept, key=lambda name: len(repr(kept[name])))]
    return kept


def model(root: Path) -> str:
    """The device tree's, the PC's product name, else the host's name."""
    for file in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        text = text_of(root / file) or ""
        if text.lower() not in _NO_MODEL:
            return text[:MAX_NAME]
    return socket.gethostname()


def board_serial(root: Path) -> str | None:
    """The device tree's, the PC's board's, else its product's; the last two are for root's eyes."""
    for file in ("proc/device-tree/serial-number", "sys/class/dmi/id/board_serial", "sys/class/dmi/id/product_serial"):
        text = text_of(root / file) or ""
        if text.lower() not in _NO_MODEL | {"not specified", "default", "system serial number"} and set(text) != {"0"}:
            return text[:MAX_NAME]
    return None


def machine_id(root: Path) -> str | None:
    """A hash of the system's own, which must not leave the machine (machine-id(5))."""
    own = text_of(root / "etc/machine-id") or ""
    return hashlib.sha256(f"myrvm machine {own}".encode()).hexdigest() if _MACHINE_ID.match(own) else None


def timezone_name(root: Path) -> str | None:
    """From the /etc/localtime link, else /etc/timezone."""
    try:
        target = str((root / "etc/localtime").readlink())
    except OSError:
        target = ""
    name = target.partition("zoneinfo/")[2] or text_of(root / "etc/timezone") or ""
    return name if _ZONE.match(name) and len(name) <= MAX_NAME else None


def _cores(root: Path) -> int | None:
    lines = (text_of(root / "proc/cpuinfo") or "").splitlines()
    return sum(line.startswith("processor") for line in lines) or os.cpu_count()


def _os_name(root: Path) -> str | None:
    for line in (text_of(root / "etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")[:MAX_NAME]
    return platform.system() or None
