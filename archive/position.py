"""Where a tar that is being written stands: what another process needs to go on behind it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from archive.plan import Report
from archive.source_file import FileIdentity

MAX_RETRIES: Final = 1000
"""Files that wait to be written again; one more is marked at once."""
MAX_UNLINKED: Final = 1000
"""Files no hard link may lead to; beyond, each name is written as a file of its own."""

Stage = Literal["begin", "entries", "retries", "manifest", "end"]


class Retry(msgspec.Struct, frozen=True, array_like=True):
    """A member as it was written last, and how often it was."""

    line: bytes
    attempts: int


class Current(msgspec.Struct, array_like=True):
    """The member whose content is under way: `done` of its stored bytes are in the blocks so far."""

    line: bytes
    attempts: int
    identity: FileIdentity
    stored: int
    done: int = 0
    is_linked: bool = False


class TarPosition(msgspec.Struct, kw_only=True):
    """Where a tar stands: enough, with the folder of the plan, to go on behind it."""

    stage: Stage = "begin"
    done: int = -1
    """Bytes of the manifest of this stage; -1 before its header."""
    plan: int = 0
    """Offset of the next line of the plan."""
    listed: int = 0
    """Bytes of the entries that were written."""
    files: int = 0
    bytes: int = 0
    entries: int = 0
    read: int = 0
    """Bytes of content so far, for progress."""
    current: Current | None = None
    retries: list[Retry] = []
    """Bound: MAX_RETRIES."""
    unlinked: list[str] = []
    """Bound: MAX_UNLINKED."""
    report: Report = msgspec.field(default_factory=Report)

    def copy(self) -> TarPosition:
        current = msgspec.structs.replace(self.current) if self.current else None
        return msgspec.structs.replace(
            self, current=current, retries=list(self.retries), unlinked=list(self.unlinked), report=self.report.copy()
        )


class Block(NamedTuple):
    data: memoryview
    position: TarPosition
