"""What a page may say on `/ws/terminal`, as types. Strict like the machines' wire; what is typed comes as bytes."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MAX_CHARACTERS: Final = 512
MAX_BYTES: Final = 32 * 1024
"""What one frame may type."""

Columns = Annotated[int, msgspec.Meta(ge=2, le=1000)]
Rows = Annotated[int, msgspec.Meta(ge=2, le=1000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Open(msgspec.Struct, tag="open"):
    """A new shell in that session."""

    session: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    cols: Columns
    rows: Rows


class Attach(msgspec.Struct, tag="attach"):
    """The same shell again, from the byte `received` on."""

    terminal: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    received: Count = 0


class Resize(msgspec.Struct, tag="resize"):
    cols: Columns
    rows: Rows


class Received(msgspec.Struct, tag="received"):
    """The page has all bytes up to there."""

    bytes: Count


class Close(msgspec.Struct, tag="close"):
    """The shell is not wanted any more."""


First = Open | Attach
Later = Resize | Received | Close
_first: msgspec.json.Decoder[First] = msgspec.json.Decoder(First)
_later: msgspec.json.Decoder[Later] = msgspec.json.Decoder(Later)


def first(text: str | None) -> First | None:
    """The greeting; None when it is none."""
    try:
        return _first.decode(text) if text is not None and len(text) <= MAX_CHARACTERS else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def later(text: str) -> Later | None:
    try:
        return _later.decode(text) if len(text) <= MAX_CHARACTERS else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
