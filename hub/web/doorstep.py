"""Who stands at the door without having said who they are: so many of one address, and no more."""

from __future__ import annotations

from typing import Final

from hub.web.rate_limit import network_of

MAX_STANDING: Final = 20
"""Sockets of one address that were let in to show a key in their first frame, and have not yet (bar 43)."""
MAX_OF_ALL: Final = 1000
"""Beyond it only those get in that show their key in the header, as our agents do."""


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

    def __init__(self, most: int = MAX_STANDING, of_all: int = MAX_OF_ALL) -> None:
        self._most = most
        self._of_all = of_all
        self._total = 0
        # Bound: `of_all`, which have AUTH_TIMEOUT_S to say who they are; `most` of each address.
        self._standing: dict[str, int] = {}

    def enter(self, address: str) -> Standing | None:
        """None when so many of this address, or of all, stand there already."""
        key = network_of(address)
        count = self._standing.get(key, 0)
        if count >= self._most or self._total >= self._of_all:
            return None
        self._total += 1
        self._standing[key] = count + 1
        return Standing(self, key)

    def left(self, key: str) -> None:
        self._total -= 1
        count = self._standing.pop(key) - 1
        if count:
            self._standing[key] = count

    def __len__(self) -> int:
        return self._total
