"""Cookies of a machine's page. The hub keeps them, for as long as the lease, and the machine gets those that it has set
and no others: a sandboxed page has no origin to keep them under, and on a host name of its own another page, one label
further, may plant some. Scripts of the page see those that are not `HttpOnly`.
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
        # Bound: those of them that scripts may not see.
        self._hidden: set[str] = set()

    def take(self, header: str, now: datetime) -> None:
        """A Set-Cookie header of the machine."""
        pair, attributes = _parts(header)
        name, value = pair
        if not _NAME.match(name) or not _VALUE.match(value) or len(name) + len(value) > MAX_BYTES:
            return
        self._drop(name)
        if _ended(attributes, now):
            return
        self._kept[name] = value
        if "httponly" in attributes:
            self._hidden.add(name)
        if len(self._kept) > MAX_COOKIES:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        self._kept.pop(name, None)
        self._hidden.discard(name)

    def header(self) -> bytes:
        """The Cookie header for the machine, b"" for none."""
        return _header(self._kept)

    def shown(self) -> bytes:
        """The same without those that no script may see."""
        return _header({name: value for name, value in self._kept.items() if name not in self._hidden})


def for_own_host(header: str, *, secure: bool) -> str | None:
    """A Set-Cookie header as scripts of a page on its own host are shown it: without a domain; None for one that they
    may not see, and for a name of the hub's."""
    pair, attributes = _parts(header)
    name, value = pair
    if not _NAME.match(name) or not _VALUE.match(value) or _OURS.match(name) or len(header) > 2 * MAX_BYTES:
        return None
    if "httponly" in attributes:
        return None
    kept = [f"{name}={value}"]
    said = [(key, attributes.get(key)) for key in ("expires", "max-age", "path")]
    kept += [f"{key}={text}" for key, text in said if text is not None and _VALUE.match(text)]
    return "; ".join([*kept, *(["secure"] if secure else []), "samesite=lax"])


def _header(pairs: dict[str, str]) -> bytes:
    return "; ".join(f"{name}={value}" for name, value in pairs.items()).encode("latin-1")


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
