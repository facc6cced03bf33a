"""What the hub must confirm and has not yet: final command results, status reports and ends of remote access sessions,
in the order they happened.

Bounded: new results are refused when it is full (a command then answers `busy`), old reports give way to new
ones. Knows no file; the journal keeps its copy on disk.
"""

from __future__ import annotations

from typing import Final

from protocol.messages import CommandUpdate, RemoteAccessReport, StatusReport

Entry = CommandUpdate | StatusReport | RemoteAccessReport
MAX_RESULTS: Final = 1000
MAX_REPORTS: Final = 100


def ref_of(entry: Entry) -> int | str:
    """The `ref` by which the hub's `received` names this entry."""
    if isinstance(entry, RemoteAccessReport):
        return f"session-{entry.session_id}"
    return entry.id if isinstance(entry, CommandUpdate) else entry.seq


class Outbox:
    """An ordered set of entries by ref."""

    def __init__(self) -> None:
        # Bound: MAX_RESULTS (`full` refuses commands), MAX_REPORTS of each other kind.
        self._entries: dict[int | str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """No room for another command's result."""
        return sum(isinstance(e, CommandUpdate) for e in self._entries.values()) >= MAX_RESULTS

    def put(self, entry: Entry) -> None:
        """Keep `entry` until it is received; the same ref twice keeps the first place and the newest words."""
        self._entries[ref_of(entry)] = entry
        for kind in (StatusReport, RemoteAccessReport):
            reports = [ref for ref, kept in self._entries.items() if isinstance(kept, kind)]
            for ref in reports[: max(0, len(reports) - MAX_REPORTS)]:
                del self._entries[ref]

    def received(self, ref: int | str) -> bool:
        """The hub has committed it; False when nothing of that name was kept."""
        return self._entries.pop(ref, None) is not None

    def get(self, ref: int | str) -> Entry | None:
        """What is kept under that name, None when it was received or never there."""
        return self._entries.get(ref)

    def entries(self) -> list[Entry]:
        """Everything still unconfirmed, oldest first."""
        return list(self._entries.values())
