"""Cookies of a machine's page. A sandboxed page has no origin to keep them under, so the hub keeps them, for as long as
the lease; a page on its own host name keeps its own, but never one that reaches beyond that name or bears ours.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final

MAX_COOKIES: Final = 50
MAX_BYTES: Final = 4096
_OURS: Final = re.compile(r"(__host-|__secure-)?rvm[_-]", re.IGNORECASE)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")
_VALUE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]*\Z")


class CookieJar:
    """What a machine's page has set; the oldest makes room. Paths and domains are not kept apart: it is one server."""

    def __init__(self) -> None:
        # Bound: MAX_COOKIES of MAX_BYTES.
        self._kept: dict[str, str] = {}

    def take(self, header: str, now: datetime) -> None:
        """A Set-Cookie header of the machine."""
        pair, attributes = _parts(header)
        name, value = pair
        if not _NAME.match(name) or not _VALUE.match(value) or len(name) + len(value) > MAX_BYTES:
            return
        self._kept.pop(name, None)
        if _ended(attributes, now):
            return
        self._kept[name] = value
        if len(self._kept) > MAX_COOKIES:
            del self._kept[next(iter(self._kept))]

    def header(self) -> bytes:
        """The Cookie header for the machine, b"" for none."""
        return "; ".join(f"{name}={value}" for name, value in self._kept.items()).encode("latin-1")


def for_own_host(header: str, *, secure: bool) -> str | None:
    """A Set-Cookie header as a page on its own host may set it: without a domain; None for a name of the hub's."""
    pair, attributes = _parts(header)
    name, value = pair
    if not _NAME.match(name) or not _VALUE.match(value) or _OURS.match(name) or len(header) > 2 * MAX_BYTES:
        return None
    kept = [f"{name}={value}"]
    said = [(key, attributes.get(key)) for key in ("expires", "max-age", "path")]
    kept += [f"{key}={text}" for key, text in said if text is not None and _VALUE.match(text)]
    kept += ["httponly"] if "httponly" in attributes else []
    return "; ".join([*kept, *(["secure"] if secure else []), "samesite=lax"])


def without_ours(header: str) -> bytes:
    """The Cookie header of a page on its own host, without what is the hub's."""
    pairs = [pair.strip() for pair in header.split(";")]
    return "; ".join(pair for pair in pairs if pair and not _OURS.match(pair)).encode("latin-1", "ignore")


def _parts(header: str) -> tuple[tuple[str, str], dict[str, str]]:
    first, *rest = header.split(";")
    name, _, value = first.partition("=")
    attributes = {}
    for part in rest:
        key, _, said = part.partition("=")
        attributes[key.strip().lower()] = said.strip()
    return (name.strip(), value.strip()), attributes


def _ended(attributes: dict[str, str], now: datetime) -> bool:
    age = attributes.get("max-age")
    if age is not None and re.fullmatch(r"-?[0-9]{1,10}", age):
        return int(age) <= 0
    try:
        at = parsedate_to_datetime(attributes["expires"].replace("-", " "))
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return False
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)) <= now
