"""A value, or why there is none. Absent is never 0."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final, NamedTuple

from protocol.board import ABSENT, IMPOSSIBLE, NOT_PERMITTED, OFFLINE, UNREADABLE


class SensorReading(NamedTuple):
    """In its subject's unit, or None and a plain `reason`."""

    value: float | None
    reason: str | None = None


def absent(reason: str) -> SensorReading:
    return SensorReading(None, reason)


_WHY: Final = {
    errno.ENOENT: ABSENT,
    errno.ENOTDIR: ABSENT,
    errno.EACCES: NOT_PERMITTED,
    errno.EPERM: NOT_PERMITTED,
    errno.EAGAIN: OFFLINE,  # a Tegra's sensor whose part of the chip is switched off
}


def why_not(error: OSError) -> str:
    """A reason of `protocol.board`."""
    return _WHY.get(error.errno or 0, UNREADABLE)


class FoundNumber(NamedTuple):
    """Or None and a reason of `protocol.board`."""

    value: int | None
    reason: str | None = None


def number_or_why(path: Path) -> FoundNumber:
    try:
        text = path.read_bytes()[:64]
    except OSError as error:
        return FoundNumber(None, why_not(error))
    try:
        return FoundNumber(int(text.strip(b" \t\r\n\x00")))
    except ValueError:
        return FoundNumber(None, IMPOSSIBLE if text.strip() else UNREADABLE)


def text_of(path: Path) -> str | None:
    """Without white space and NULs around it; None: unreadable, as sensors that are switched off."""
    try:
        return path.read_bytes()[:65536].decode("utf-8", "replace").strip(" \t\r\n\x00")
    except OSError:
        return None


def number_of(path: Path) -> int | None:
    """Of a small kernel file; None: none."""
    text = text_of(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def listed(folder: Path, pattern: str) -> list[Path]:
    """By name; none when the folder cannot be read."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def percent(part: float, whole: float) -> float:
    """0-100, two decimals."""
    return round(min(max(100.0 * part / whole, 0.0), 100.0), 2)
