"""A page that comes packed although that was not asked for (small servers keep nothing else), so that it can be
rewritten. Piece by piece: a kilobyte may hold a megabyte.
"""

from __future__ import annotations

import zlib
from typing import Final

from hub.remote.machine_pages.refusal import Refusal

PACKED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""Content-Encoding that can be unpacked here."""
PIECE: Final = 8 * 1024
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class Unpacking:
    """`feed` what came, then `more` as long as it is `pending`; `end` when nothing follows. Raises Refusal."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_OR_ZLIB)

    @property
    def pending(self) -> bool:
        return bool(self._inner.unconsumed_tail)

    def feed(self, data: bytes) -> bytes:
        try:
            return self._inner.decompress(data, PIECE)
        except zlib.error as wrong:
            raise Refusal("not_http") from wrong

    def more(self) -> bytes:
        return self.feed(self._inner.unconsumed_tail)

    def end(self) -> None:
        if not self._inner.eof:
            raise Refusal("not_http")
