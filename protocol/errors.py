"""Errors on the wire, the peer's and ours, and their close codes."""

from __future__ import annotations

import enum
from typing import Final


class CloseCode(enum.IntEnum):
    """WebSocket close codes of the link (protocol.md, Connection); 4401 and up are ours."""

    NORMAL = 1000
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    HUB_RESTARTING = 1012
    OVERLOADED = 1013
    PROTOCOL_ERROR = 4400
    NOT_AUTHENTICATED = 4401
    REVOKED = 4403
    REPLACED = 4409
    NO_COMMON_VERSION = 4426


BOARD_WAITS: Final = "board_waits"
"""Code of the error for a board that may not connect before an administrator accepts it."""
BOARD_REFUSED: Final = "board_refused"
"""Code of the error for a board that an administrator has refused."""


class WireError(Exception):
    """Base of everything this package raises."""


class LocalProtocolError(WireError):
    """We tried to send what the table forbids now: a bug of ours."""


class RemoteProtocolError(WireError):
    """The peer broke the protocol.

    `code`: of the `error` message that answers it; `field`: path of the wrong member (JSON path without the leading
    `$.`, e.g. `samples[3].timestamp`; empty: the whole frame). `close`: the close code that ends the link, or None
    when only this message is refused."""

    def __init__(self, code: str, detail: str, *, field: str = "", close: CloseCode | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.close = close
