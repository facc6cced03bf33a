"""A value, or why there is none. Absent is never 0."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class SensorReading(NamedTuple):
    """`value` in the unit of its subject, or None and the `reason` in a few plain words."""

    value: float | None
    reason: str | None = None


def absent(reason: str) -> SensorReading:
    return SensorReading(None, reason)


def text_of(path: Path) -> str | None:
    """Without surrounding white space and NULs; None when it cannot be read, as sensors that are switched off."""
    try:
        return path.read_bytes()[:65536].decode("utf-8", "replace").strip(" \t\r\n\x00")
    except OSError:
        return None


def number_of(path: Path) -> int | None:
    """The whole number in a small kernel file; None when there is none."""
    text = text_of(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def listed(folder: Path, pattern: str) -> list[Path]:
    """The entries of `folder` that match, by name; none when the folder cannot be read."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def percent(part: float, whole: float) -> float:
    """`part` of `whole`, 0-100, two decimals."""
    return round(min(max(100.0 * part / whole, 0.0), 100.0), 2)
