"""The folder of a backup under way: what is to be written, what was, and what was noticed.

Lists, the key where it is encrypted, and no data but one snapshot of a database at a time. Whoever goes on with a
backup finds it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

MAX_REPORT: Final = 200
"""Lines that name a path; all of them are counted."""
MAX_TEXT: Final = 200
RESERVE: Final = 64 * 1024 * 1024
"""Bytes that a backup leaves free on the disk of the machine."""


class NoRoomError(Exception):
    """The disk of the machine has too little room for what a backup needs beside the data: lists and snapshots."""

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"{needed} bytes are needed, {free} are free")
        self.needed = needed
        self.free = free

    @classmethod
    def of(cls, folder: Path, needed: int = RESERVE) -> NoRoomError:
        return cls(needed, free_bytes(folder))


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class ReportLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is not in the backup as it should be, and why. `path` as the manifest has it."""

    path: str
    code: str
    text: str = ""


class Report(msgspec.Struct, omit_defaults=True):
    lines: list[ReportLine] = []
    """Bound: MAX_REPORT."""
    counts: dict[str, int] = {}
    """Bound: the codes of this product."""

    def add(self, path: str, code: str, text: str = "") -> None:
        self.counts[code] = self.counts.get(code, 0) + 1
        if len(self.lines) < MAX_REPORT:
            shown = path.encode("utf-8", "replace").decode()[:MAX_TEXT]
            self.lines.append(ReportLine(shown, code, text[:MAX_TEXT]))

    def merge(self, other: Report) -> None:
        """Adds what was noticed later."""
        self.lines = (self.lines + other.lines)[:MAX_REPORT]
        for code, count in other.counts.items():
            self.counts[code] = self.counts.get(code, 0) + count

    def copy(self) -> Report:
        return Report(list(self.lines), dict(self.counts))


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What is planned: regular files with content, their bytes (holes are none), all entries, paths that are gone; and
    what there is after it in all (`state_*`)."""

    files: int
    bytes: int
    entries: int
    deleted: int
    state_files: int
    state_bytes: int
    report: Report


class Work:
    """Where things lie in the folder of a backup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = folder / "plan.jsonl"
        """The header, then what is to be written, in order."""
        self.deleted = folder / "deleted.jsonl"
        self.scan = folder / "scan.json"
        """Written last: a folder without it is no plan."""
        self.entries = folder / "entries.jsonl"
        """What was written so far, as the last manifest has it."""
        self.index = folder / "index"
        self.snapshot = folder / "snapshot"
        self.key = folder / "key"
        """Of an encrypted archive, while it is written (`archive.stream_key`)."""

    def save(self, scan: Scan) -> None:
        self.scan.write_bytes(msgspec.json.encode(scan))

    def load(self) -> Scan:
        return msgspec.json.decode(self.scan.read_bytes(), type=Scan)
