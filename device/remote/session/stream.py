"""What a handler of a stream is given: one stream of the tunnel, and the session it belongs to. Knows no tunnel.

A handler is `async def serve(stream, session)`. It accepts or refuses first; when it returns, the stream has ended. It
is cancelled when its session ends, and then leaves nothing running.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class StreamGone(Exception):  # noqa: N818 - it reads as what happened
    """The other side reset the stream, or its session is over: nothing can be sent or received any more."""


class DeviceStream(Protocol):
    """The machine's end of one stream; waiting methods raise StreamGone."""

    @property
    def kind(self) -> str:
        """terminal, port or file."""

    @property
    def args(self) -> Mapping[str, Any]:
        """What OPEN said; nobody has checked it."""

    def accept(self, info: Mapping[str, object]) -> None:
        """Say that it is served; before the first byte."""

    def refuse(self, code: str, message: str) -> None:
        """Say that it is not, and why; the stream is gone."""

    async def send(self, data: bytes) -> None:
        """Send all of it; waits for the receiver's window."""

    async def receive(self) -> bytes:
        """The next bytes; b"" when the other side sends no more."""

    def control(self, values: Mapping[str, object]) -> None:
        """Say something about the stream, beside its bytes."""

    async def next_control(self) -> dict[str, Any] | None:
        """What the other side says so; None when it says no more."""

    async def finish(self) -> None:
        """Send no more bytes."""

    def reset(self, code: str, message: str = "") -> None:
        """End it at once, whatever is on its way."""


@dataclass(frozen=True)
class OpenSession:
    """The lease a stream belongs to. `allow`: of terminal, ports, files; `deadline` is on our monotonic clock."""

    id: int
    admin: str
    admin_ip: str
    ports: tuple[int, ...]
    allow: frozenset[str]
    deadline: float


Serve = Callable[[DeviceStream, OpenSession], Awaitable[None]]
