"""Rewrites a page written for `/` that stands below `/remote/...`: prefixes absolute paths as it streams by. What is
not understood passes unchanged. Scripts' addresses are left to `same_path.js`, modules to an import map.

The page is hostile: one pass of one pattern whose parts share no run, and a page at most doubles, so that the cost
is linear."""

from __future__ import annotations

import re
import zlib
from html import escape
from typing import Final

import msgspec

from hub.remote.machine_pages.headers import below_root
from hub.remote.machine_pages.proxy_request import PageRefused

PACKED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})  # Content-Encoding that can be unpacked here
PIECE: Final = 8 * 1024
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class Unpacking:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_OR_ZLIB)

    @property
    def pending(self) -> bool:
        return bool(self._inner.unconsumed_tail)

    def feed(self, data: bytes) -> bytes:
        try:
            return self._inner.decompress(data, PIECE)
        except zlib.error as wrong:
            raise PageRefused("not_http") from wrong

    def more(self) -> bytes:
        return self.feed(self._inner.unconsumed_tail)

    def end(self) -> None:
        if not self._inner.eof:
            raise PageRefused("not_http")


MAX_HELD: Final = 8 * 1024  # Bytes of an unfinished tag or rule; a longer one passes unchanged
HEAD_WITHIN: Final = 8 * 1024  # Bytes in which a page's head is looked for
FREE_GROWTH: Final = 32 * 1024  # Growth in bytes beside the page's own size: a short page of links is rewritten whole
SHIM: Final = "/.rvm/same_path.js"

_ATTRIBUTES: Final = rb"href|src|action|formaction|poster|data|background|manifest|xlink:href"
_HEAD: Final = re.compile(rb"<head(?:\s[^<>]*)?>", re.IGNORECASE)
_ROOM: Final = re.compile(rb"\s*(?:<!doctype[^>]*>\s*)?(?:<html(?:\s[^>]*)?>)?", re.IGNORECASE)
_QUOTE: Final = rb"\s*(?:[\"']\s*)?"  # Space, a quote or none, and space
_OWN: Final = rb"(?:(?:https?:)?//(?:localhost|127\.0\.0\.1|\[::1\]):%d)?"  # The page's own origin, if named
_PATH: Final = rb"/(?![/\\])[^\s\"'<>?#)]*"
_IN_STYLE: Final = rb"(?<!\wu)(?<=u)rl\(%b|(?<=@)import\s+[\"']" % _QUOTE
_IN_TAG: Final = rb"(?<=\s)(?:(?:%b)\s*=%b|content\s*=%b[0-9.]{1,9}\s*[;,]\s*url\s*=\s*[\"']?)" % (
    _ATTRIBUTES,
    _QUOTE,
    _QUOTE,
)
_SET: Final = rb"(?<=\s)(?:image)?srcset\s*=\s*(?:\"[^\"]*\"|'[^']*')"
_CANDIDATE: Final = re.compile(rb"([\"']\s*|,\s*)(%b)" % _PATH)
_CLIMBS: Final = re.compile(rb"\.\.|%2e", re.IGNORECASE)


class Rewriter:
    def __init__(self, addresses: re.Pattern[bytes], prefix: bytes, cut_after: bytes, inject: bytes = b"") -> None:
        self._addresses = addresses
        self._prefix = prefix
        self._cut_after = cut_after
        self._inject = inject
        self._held = b""
        self._growth_left = FREE_GROWTH

    def feed(self, data: bytes) -> bytes:
        held, before = self._held + data, b""
        if self._inject:
            if not _HEAD.search(held) and len(held) < HEAD_WITHIN:
                self._held = held
                return b""
            before, held = self._injected(held)
        cut = max(held.rfind(bytes([mark])) for mark in self._cut_after) + 1
        if not cut and len(held) > MAX_HELD:
            cut = len(held)
        self._held = held[cut:]
        return before + self._rewritten(held[:cut])

    def end(self) -> bytes:
        held, self._held = self._held, b""
        before, rest = self._injected(held) if self._inject else (b"", held)
        return before + self._rewritten(rest)

    def _injected(self, page: bytes) -> tuple[bytes, bytes]:
        found = _HEAD.search(page) or _ROOM.match(page)
        place = 0 if found is None else found.end()
        inject, self._inject = self._inject, b""
        return self._rewritten(page[:place]) + inject, page[place:]

    def _rewritten(self, part: bytes) -> bytes:
        self._growth_left += len(part)
        return self._addresses.sub(self._moved, part)

    def _moved(self, found: re.Match[bytes]) -> bytes:
        path = found["path"]
        if path is None:  # a set of addresses
            return _CANDIDATE.sub(self._candidate, found[0])
        return found[0][:1] + found["before"] + self._placed(path)

    def _candidate(self, found: re.Match[bytes]) -> bytes:
        return found[1] + self._placed(found[2])

    def _placed(self, path: bytes) -> bytes:
        if self._growth_left < len(self._prefix):
            return path
        self._growth_left -= len(self._prefix)
        climbs = _CLIMBS.search(path) is not None
        return self._prefix + (below_root(path.decode("latin-1")).encode("latin-1") if climbs else path)


def for_page(prefix: str, port: int, cookies: bytes) -> bytes:
    """Put before every HTML page: the hub's script, cookies for scripts, an import map."""
    modules = msgspec.json.encode({"imports": {"/": f"{prefix}/", f"{prefix}/": f"{prefix}/"}})
    shown = escape(cookies.decode("latin-1")).encode("latin-1")
    return b'<script src="%b" data-port="%d" data-cookies="%b"></script><script type="importmap">%b</script>' % (
        f"{prefix}{SHIM}".encode(), port, shown, modules,
    )  # fmt: skip


def rewriter_for(content_type: str, prefix: str, port: int, inject: bytes) -> Rewriter | None:
    """None: not rewritten. `prefix` has no slash at its end."""
    kind = content_type.partition(";")[0].strip().lower()
    if "utf-16" in content_type.lower() or "utf-32" in content_type.lower():
        return None
    if kind in ("text/html", "application/xhtml+xml"):
        addresses = _pattern(rb"[\s@uU]", rb"%b|%b" % (_IN_TAG, _IN_STYLE), port, _SET)
        return Rewriter(addresses, prefix.encode(), b">", inject)
    if kind == "text/css":
        return Rewriter(_pattern(rb"[@uU]", _IN_STYLE, port), prefix.encode(), b"};\n")
    return None


def _pattern(first: bytes, before: bytes, port: int, other: bytes = b"") -> re.Pattern[bytes]:
    """Begins with one of `first`: a search skips other text."""
    moved = rb"(?P<before>%b)%b(?P<path>%b)" % (before, _OWN % port, _PATH)
    return re.compile(rb"%b(?=[A-Za-z])(?i:%b%b)" % (first, moved, b"|" + other if other else b""))
