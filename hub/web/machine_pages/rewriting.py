"""A page written for `/` that stands below `/remote/...`: addresses that begin with a slash get the prefix, as the page
streams by. Pure, over bytes; what is not understood passes unchanged. What scripts make up later is seen to by
`same_path.js`, which every HTML page loads before anything of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_HELD: Final = 16 * 1024
"""Bytes of a tag, a rule or a line that are waited for; a longer one passes unchanged."""
HEAD_WITHIN: Final = 8 * 1024
"""Where a page's head is looked for."""

_ATTRIBUTES = rb"href|src|action|formaction|poster|data|background|manifest|xlink:href"
_HEAD = re.compile(rb"<head(?:\s[^<>]*)?>", re.IGNORECASE)
_ROOM = re.compile(rb"\s*(?:<!doctype[^>]*>\s*)?(?:<html(?:\s[^>]*)?>)?", re.IGNORECASE)
_QUOTE = rb"\s*(?:[\"']\s*)?"
"""Room, a quote or none, and room. The page is hostile: no two parts of a pattern may share a run of spaces, or a page
of nothing else would keep the hub busy for as long as its square."""


class Rewriter:
    """`feed` every part, then `end`; both answer what can be sent on."""

    def __init__(self, rewrite: Callable[[bytes], bytes], cut_after: bytes, inject: bytes = b"") -> None:
        self._rewrite = rewrite
        self._cut_after = cut_after
        self._inject = inject
        self._held = b""

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
        return before + self._rewrite(held[:cut])

    def end(self) -> bytes:
        held, self._held = self._held, b""
        before, rest = self._injected(held) if self._inject else (b"", held)
        return before + self._rewrite(rest)

    def _injected(self, page: bytes) -> tuple[bytes, bytes]:
        """The page's beginning as it is sent, with what comes first in it, and what is left of the page."""
        found = _HEAD.search(page) or _ROOM.match(page)
        place = 0 if found is None else found.end()
        inject, self._inject = self._inject, b""
        return self._rewrite(page[:place]) + inject, page[place:]


def rewriter_for(content_type: str, prefix: str, port: int, shim: bytes) -> Rewriter | None:
    """How an answer of that type is rewritten; None: not at all. `prefix` has no slash at its end."""
    kind = content_type.partition(";")[0].strip().lower()
    if "utf-16" in content_type.lower() or "utf-32" in content_type.lower():
        return None
    if kind in ("text/html", "application/xhtml+xml"):
        return Rewriter(_html(prefix.encode(), port), b">", shim)
    if kind == "text/css":
        return Rewriter(_css(prefix.encode(), port), b"};\n")
    if kind in ("text/javascript", "application/javascript", "application/x-javascript"):
        return Rewriter(_modules(prefix.encode()), b";\n")
    return None


def _own(port: int) -> bytes:
    """The page's own origin, when it names it."""
    return rb"(?:(?:https?:)?//(?:localhost|127\.0\.0\.1|\[::1\]):%d)?" % port


def _html(prefix: bytes, port: int) -> Callable[[bytes], bytes]:
    attribute = re.compile(rb"(\s(?:%b)\s*=%b)%b/(?![/\\])" % (_ATTRIBUTES, _QUOTE, _own(port)), re.IGNORECASE)
    waits = rb"(\scontent\s*=%b[0-9.]+\s*[;,]\s*url\s*=\s*[\"']?)" % _QUOTE
    refresh = re.compile(rb"%b%b/(?![/\\])" % (waits, _own(port)), re.IGNORECASE)
    sets = re.compile(rb"(\s(?:image)?srcset\s*=\s*)(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
    candidate = re.compile(rb"(^[\"']\s*|,\s*)/(?![/\\])")
    css, replaced = _css(prefix, port), rb"\1" + prefix + b"/"

    def in_set(found: re.Match[bytes]) -> bytes:
        return found[1] + candidate.sub(replaced, found[2])

    def rewrite(part: bytes) -> bytes:
        return css(sets.sub(in_set, refresh.sub(replaced, attribute.sub(replaced, part))))

    return rewrite


def _css(prefix: bytes, port: int) -> Callable[[bytes], bytes]:
    reference = re.compile(rb"(\burl\(%b|@import\s+[\"'])%b/(?![/\\])" % (_QUOTE, _own(port)), re.IGNORECASE)
    return lambda part: reference.sub(rb"\1" + prefix + b"/", part)


def _modules(prefix: bytes) -> Callable[[bytes], bytes]:
    """Only what scripts load as modules: nothing that runs in the page can see to that."""
    module = re.compile(rb"(\bfrom\s*|\bimport\s*(?:\(\s*)?)([\"'])/(?![/\\])")
    return lambda part: module.sub(rb"\1\2" + prefix + b"/", part)
