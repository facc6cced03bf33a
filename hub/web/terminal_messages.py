"""What a page may say on `/ws/terminal`, as types. Strict like the machines' wire; what is typed comes as bytes."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MAX_CHARACTERS: Final = 512
MAX_BYTES: Final = 32 * 1024
"""What one frame may type; the page is told it in `ready`, with the input window."""

MAX_SIDE: Final = 1000
"""Columns, rows: a window that is larger or has none is given the nearest size (`size_of`), not refused."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Open(msgspec.Struct, tag="open"):
    """A new shell in that session."""

    session: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    cols: Count
    rows: Count


class Attach(msgspec.Struct, tag="attach"):
    """The same shell again, from the byte `received` on."""

    terminal: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    received: Count = 0


class Resize(msgspec.Struct, tag="resize"):
    cols: Count
    rows: Count


class Received(msgspec.Struct, tag="received"):
    """The page has all bytes up to there."""

    bytes: Count


class Close(msgspec.Struct, tag="close"):
    """The shell is not wanted any more."""


class Ping(msgspec.Struct, tag="ping"):
    """Answered with `pong` and the same number: the page asks whether the connection lives."""

    n: Count


def size_of(asked: Open | Resize) -> tuple[int, int]:
    """Columns and rows that a terminal can have: a page with one row, or none that can be seen, is no error."""
    return min(max(asked.cols, 1), MAX_SIDE), min(max(asked.rows, 1), MAX_SIDE)


First = Open | Attach
Later = Resize | Received | Close | Ping
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
