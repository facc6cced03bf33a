"""The two text frames with which a tunnel begins, as types: the machine's `open` and the hub's `opened`."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from protocol import limits
from protocol.kinds import Seq
from protocol.stream_frames import StreamProtocolError

Greeting = TypeVar("Greeting")
Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_TEXT, pattern=r"^[\x21-\x7e]*\Z")]
MAX_GREETING: Final = 4096
"""Characters of either."""


class TunnelOpen(msgspec.Struct, tag="open", kw_only=True, omit_defaults=True):
    """The machine's first frame. A session begins with the `ticket` of `start_remote_access`; a dropped tunnel comes
    back with the `resume` secret of the last `opened`, and says how many frames of the hub it has taken."""

    session_id: Seq
    ticket: Secret | None = None
    resume: Secret | None = None
    received: Seq = 0


class TunnelOpened(msgspec.Struct, tag="opened", kw_only=True):
    """The hub's answer; binary frames follow from both sides. `resume` opens the session's next tunnel, `received` is
    how many frames of the machine the hub has taken, `idle` after how many seconds without a byte the session ends."""

    session_id: Seq
    resume: Secret
    received: Seq
    idle: int


_encoder = msgspec.json.Encoder()
_open = msgspec.json.Decoder(TunnelOpen)
_opened = msgspec.json.Decoder(TunnelOpened)


def encode(greeting: TunnelOpen | TunnelOpened) -> str:
    return _encoder.encode(greeting).decode()


def read_open(text: str) -> TunnelOpen:
    """The machine's greeting; raises StreamProtocolError."""
    greeting = _read(_open, text)
    if (greeting.ticket is None) == (greeting.resume is None):
        raise StreamProtocolError("greeting", "either a ticket or a resume secret opens a tunnel")
    return greeting


def read_opened(text: str) -> TunnelOpened:
    """What the hub answered; raises StreamProtocolError."""
    return _read(_opened, text)


def _read(decoder: msgspec.json.Decoder[Greeting], text: str) -> Greeting:
    if len(text) > MAX_GREETING:
        raise StreamProtocolError("greeting", f"a greeting has {MAX_GREETING} characters at most")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as wrong:
        raise StreamProtocolError("greeting", f"bad greeting: {wrong}") from wrong
