"""Who stands at the door without having said who they are: so many of one address, and no more."""

from __future__ import annotations

from typing import Final

from hub.web.rate_limit import network_of

MAX_STANDING: Final = 20
"""Sockets of one address that were let in to show a key in their first frame, and have not yet (bar 43)."""


class Standing:
    """One socket at the door; `leave` when it is known or gone, as often as one likes."""

    def __init__(self, doorstep: Doorstep, key: str) -> None:
        self._doorstep: Doorstep | None = doorstep
        self._key = key

    def leave(self) -> None:
        if self._doorstep is not None:
            self._doorstep.left(self._key)
            self._doorstep = None


class Doorstep:
    """Counts by address; an address nobody of which stands there costs nothing."""

    def __init__(self, most: int = MAX_STANDING) -> None:
        self._most = most
        # Bound: an address with an open socket, which has AUTH_TIMEOUT_S to say who it is; MAX_STANDING of each.
        self._standing: dict[str, int] = {}

    def enter(self, address: str) -> Standing | None:
        """None when so many of this address stand there already."""
        key = network_of(address)
        count = self._standing.get(key, 0)
        if count >= self._most:
            return None
        self._standing[key] = count + 1
        return Standing(self, key)

    def left(self, key: str) -> None:
        count = self._standing.pop(key) - 1
        if count:
            self._standing[key] = count

    def __len__(self) -> int:
        return sum(self._standing.values())
