"""What NVIDIA's software says of a Jetson: L4T, JetPack, power mode, the GPU's part of the memory."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from device.system_monitor.reading import text_of, why_not
from protocol.board import ABSENT, IMPOSSIBLE, NOT_REPORTED
from protocol.limits import MAX_NAME

_L4T: Final = re.compile(r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)")
_MODE: Final = re.compile(r"pmode:0*(\d{1,4})")
_DEFAULT: Final = re.compile(r"^<\s*PM_CONFIG\s+DEFAULT=(\d{1,4})", re.MULTILINE)
_PACKAGE: Final = b"Package: nvidia-jetpack\n"
_VERSION: Final = b"Version: "
_CLIENTS: Final = "sys/kernel/debug/nvmap/iovmm/clients"
_TOTAL: Final = re.compile(r"^total\s+(\d{1,15})([KM]?)\s*$", re.MULTILINE)
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2}

JETPACK_OF_L4T: Final = {
    "35.1.0": "5.0.2", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2", "35.5.0": "5.1.3", "35.6.0": "5.1.4",
    "35.6.1": "5.1.5", "36.2.0": "6.0 DP", "36.3.0": "6.0", "36.4.0": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1",
    "36.4.7": "6.2.1", "36.5.0": "6.2.2",
}  # fmt: skip
"""By NVIDIA's JetPack archive; for boards that have L4T without the package `nvidia-jetpack`."""


class JetsonFact(NamedTuple):
    """Or None and a reason of `protocol.board`."""

    value: str | None
    reason: str | None = None


def l4t(root: Path) -> str | None:
    """NVIDIA's release as in "36.3.0", None off a Jetson."""
    match = _L4T.search(text_of(root / "etc/nv_tegra_release") or "")
    return f"{match[1]}.{match[2]}" if match else None


def jetpack(root: Path) -> JetsonFact:
    """The installed package's version without its build, else what L4T belongs to."""
    release = l4t(root)
    if release is None:
        return JetsonFact(None, ABSENT)
    status = root / "var/lib/dpkg/status"
    try:
        seen = status.stat()
        installed = _installed(status, seen.st_mtime_ns, seen.st_size)
    except OSError:
        installed = None
    known = installed or JETPACK_OF_L4T.get(release)
    return JetsonFact(known) if known else JetsonFact(None, NOT_REPORTED)


@lru_cache(maxsize=1)
def _installed(status: Path, _changed_at: int, _size: int) -> str | None:
    """Megabytes are read, so only when they have changed."""
    with status.open("rb") as lines:
        for line in lines:
            if line != _PACKAGE:
                continue
            for member in lines:
                if not member.strip():
                    return None
                if member.startswith(_VERSION):
                    version = member[len(_VERSION) :].decode("utf-8", "replace").strip()
                    return re.split(r"[-+]b", version)[0][:MAX_NAME] or None
    return None


def power_mode(root: Path) -> JetsonFact:
    """The name of nvpmodel's mode; before one was ever chosen that of the board's default."""
    try:
        modes = (root / "etc/nvpmodel.conf").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return JetsonFact(None, why_not(error))
    chosen = _MODE.search(text_of(root / "var/lib/nvpmodel/status") or "") or _DEFAULT.search(modes)
    if chosen is None:
        return JetsonFact(None, NOT_REPORTED)
    named = re.search(rf"^<\s*POWER_MODEL\s+ID={int(chosen[1])}\s+NAME=(\S{{1,{MAX_NAME}}})", modes, re.MULTILINE)
    return JetsonFact(named[1]) if named else JetsonFact(None, IMPOSSIBLE)


def is_jetson(root: Path) -> bool:
    return l4t(root) is not None or "nvidia,tegra" in (text_of(root / "proc/device-tree/compatible") or "")


class GpuMemory(NamedTuple):
    size: int | None
    reason: str | None = None


def gpu_memory(root: Path) -> GpuMemory:
    """Bytes of the machine's memory that the GPU has; debugfs, so for root alone."""
    try:
        text = (root / _CLIENTS).read_bytes()[:65536].decode("utf-8", "replace")
    except OSError as error:
        return GpuMemory(None, why_not(error))
    total = _TOTAL.search(text)
    return GpuMemory(int(total[1]) * _UNITS[total[2]]) if total else GpuMemory(None, IMPOSSIBLE)
