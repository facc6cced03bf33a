"""What this package needs of a stream to a machine: bytes both ways. The tunnel's own are so; so are those of tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class MachineStream(Protocol):
    """One connection to a declared port. What waits may raise TunnelError: the lease is over, the machine says no."""

    async def send(self, data: bytes) -> None:
        """Returns when there is room for more."""

    async def receive(self) -> bytes:
        """The next bytes; b"" when the other side has ended."""

    def reset(self, code: str, message: str = "") -> None:
        """Give the connection up at once."""


Connect = Callable[[], Awaitable[MachineStream]]
"""A new connection to the port that a page is about."""
