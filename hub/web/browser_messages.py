"""What a page may say to the hub, as types, and how much of it. Strict like the machines' wire, and as small."""

from __future__ import annotations

import time
from typing import Annotated, Final

import msgspec

from hub.core.token_bucket import TokenBucket

MAX_MESSAGE_CHARACTERS: Final = 1024
MESSAGES_PER_S: Final = 10.0
BURST: Final = 40.0
SNAPSHOT_COST: Final = 10.0
"""A full picture costs the hub as much as many small things: four at once, then one a second."""


class Watch(msgspec.Struct, tag="watch"):
    """A lease of 30 s on live samples each `rate` seconds: of one machine, or of all it may see (`machine` null)."""

    machine: int | None = None
    rate: Annotated[float, msgspec.Meta(ge=1, le=60)] = 5.0


class Unwatch(msgspec.Struct, tag="unwatch"):
    """Every lease of this connection ends."""


class Pause(msgspec.Struct, tag="pause"):
    """The page is hidden: state changes only."""


class Resume(msgspec.Struct, tag="resume"):
    """The page is seen again; answered with a snapshot."""


class AskSnapshot(msgspec.Struct, tag="snapshot"):
    """The page lost count: the full picture again."""


class Ping(msgspec.Struct, tag="ping"):
    """Answered with `pong`, the same number and the hub's time: the page asks whether the connection lives."""

    n: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


Message = Watch | Unwatch | Pause | Resume | AskSnapshot | Ping
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def decode(text: str) -> Message | None:
    """The message; None when it is none of ours or does not fit its type."""
    if len(text) > MAX_MESSAGE_CHARACTERS:
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


class Allowance:
    """A token bucket: `take` answers False when the page says more than a page would."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(MESSAGES_PER_S, BURST, time.monotonic())

    def take(self, message: Message | None) -> bool:
        cost = SNAPSHOT_COST if isinstance(message, (AskSnapshot, Resume)) else 1.0
        return self._bucket.take(time.monotonic(), cost)
