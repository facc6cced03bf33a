"""What happened to a stream of a tunnel, one tuple each."""

from __future__ import annotations

from typing import Any, NamedTuple


class Opened(NamedTuple):
    id: int
    kind: str
    args: dict[str, Any]


class Accepted(NamedTuple):
    id: int
    info: dict[str, Any]


class Data(NamedTuple):
    """Call `consumed` when the application has them."""

    id: int
    data: bytes


class Writable(NamedTuple):
    """There is room for `send` again."""

    id: int


class Ended(NamedTuple):
    """No more data from the peer."""

    id: int


class WasReset(NamedTuple):
    id: int
    code: str
    message: str


class Controlled(NamedTuple):
    id: int
    values: dict[str, Any]


StreamEvent = Opened | Accepted | Data | Writable | Ended | WasReset | Controlled
