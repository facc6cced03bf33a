"""A stream as a table: what an end that has come so far may still say, and where that leads.

Each end is seen by itself; both ends see the same. A stream is gone when both have said END or RESET.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from protocol.stream_frames import FrameType
from protocol.transitions import Role


class Side(enum.Enum):
    """How far one end of a stream has come."""

    OPENING = "opening"
    OPEN = "open"
    ENDED = "ended"
    RESET = "reset"


FOLLOWING: Final[Mapping[tuple[Side, FrameType], Side]] = {
    (Side.OPENING, FrameType.ACCEPT): Side.OPEN,
    (Side.OPENING, FrameType.RESET): Side.RESET,
    (Side.OPEN, FrameType.DATA): Side.OPEN,
    (Side.OPEN, FrameType.WINDOW): Side.OPEN,
    (Side.OPEN, FrameType.CONTROL): Side.OPEN,
    (Side.OPEN, FrameType.END): Side.ENDED,
    (Side.OPEN, FrameType.RESET): Side.RESET,
    # It still receives: it grants, it controls, and it may lose patience.
    (Side.ENDED, FrameType.WINDOW): Side.ENDED,
    (Side.ENDED, FrameType.CONTROL): Side.ENDED,
    (Side.ENDED, FrameType.RESET): Side.RESET,
}
"""What an end may say, and where that leads. A missing entry is a protocol error. ACCEPT opens both ends."""
ONLY: Final = {FrameType.OPEN: Role.HUB, FrameType.ACCEPT: Role.MACHINE}
OVER: Final = (Side.ENDED, Side.RESET)
