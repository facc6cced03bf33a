"""What is wrong with an archive, as a code, a sentence and the member it is about."""

from __future__ import annotations

from typing import Final

DAMAGED: Final = "archive_damaged"
"""Truncated, bit-flipped, or not what its manifest lists."""
UNSAFE: Final = "archive_unsafe"
"""Would write outside of its folder, or make what no backup holds (a device)."""
TOO_LARGE: Final = "too_large"
"""More bytes, entries or depth than the caller, or the format, allows."""
WRONG_KEY: Final = "wrong_key"
"""Encrypted, and no identity at hand opens it."""
UNKNOWN_FORMAT: Final = "unknown_format"
"""No archive of this product, or one of a newer release."""
WRONG_CHAIN: Final = "wrong_chain"
"""Archives that do not follow each other: one is missing, twice there, or of another machine."""
DISK_FULL: Final = "disk_full"
"""Less room than what is unpacked needs."""
OUTWARD_LINK: Final = "outward_link"
"""A symbolic link that leads out of its source, where the caller does not want such."""
WRITE_FAILED: Final = "write_failed"
"""The file system refuses what is unpacked: a name it cannot hold, a device that fails."""
INTERRUPTED: Final = "interrupted"
"""What an earlier process began cannot be gone on with. Whoever writes begins anew: nobody reads it."""
CODES: Final = (
    DAMAGED,
    UNSAFE,
    TOO_LARGE,
    WRONG_KEY,
    UNKNOWN_FORMAT,
    WRONG_CHAIN,
    DISK_FULL,
    OUTWARD_LINK,
    WRITE_FAILED,
)
"""Each has a sentence in the catalogues of the agent and of the dashboard."""


MOST_DETAIL: Final = 500


def printable(text: str) -> str:
    """Escapes what nobody sees, what steers a terminal and what no UTF-8 can hold: names in an archive may be any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ArchiveError(Exception):
    """An archive cannot be read, or must not be. `path`: the member, empty when it is about all of it; `detail` may
    quote the archive and can be shown. `archive`: which of a chain, from 0."""

    def __init__(self, code: str, detail: str, *, path: str = "") -> None:
        detail = printable(detail[:MOST_DETAIL])
        super().__init__(f"{path!r}: {detail}" if path else detail)
        self.code = code
        self.detail = detail
        self.path = path
        self.archive: int | None = None
