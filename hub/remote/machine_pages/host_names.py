"""Which of the names under which the hub is called is a machine's page. Pure.

The hub's own name is the hub's in every spelling; a page's is one only in exactly the spelling the hub made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from hub.settings import Settings

UNKNOWN: Final = ""
"""A name below the pages' own that is not exactly written as one of ours could be: there is nothing there."""


@dataclass(frozen=True)
class HostNames:
    """`pages` is the name below which pages stand, `port` how it is shown in an address (":8443" or "")."""

    scheme: str
    pages: str
    port: str
    own: str | None

    def label(self, host: str) -> str | None:
        """The first part of a page's name, UNKNOWN, or None when the hub itself is meant."""
        name = _name(host)
        plain = _plain(name)
        if plain == self.own or not plain.endswith(f".{self.pages}"):
            return None
        label = name.removesuffix(f".{self.pages}")
        return label if label.isascii() and label.isalnum() and label == label.lower() else UNKNOWN

    @property
    def source(self) -> str:
        """All of them, as a policy names them."""
        return f"{self.scheme}://*.{self.pages}{self.port}"

    def origin(self, label: str) -> str:
        return f"{self.scheme}://{label}.{self.pages}{self.port}"


def names_of(settings: Settings) -> HostNames | None:
    """None when pages have no host names of their own."""
    if not settings.pages_url:
        return None
    parts = urlsplit(settings.pages_url)
    own = urlsplit(settings.public_url).hostname if settings.public_url else None
    return HostNames(
        scheme=parts.scheme,
        pages=_plain(parts.hostname or ""),
        port=f":{parts.port}" if parts.port is not None else "",
        own=None if own is None else _plain(own),
    )


def _name(host: str) -> str:
    """Without the port; a literal IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _plain(name: str) -> str:
    """As the name service takes it: letters small, no dot at its end, other scripts in ASCII."""
    name = name.strip().rstrip(".").lower()
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
