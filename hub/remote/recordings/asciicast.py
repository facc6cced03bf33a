"""A terminal as an asciicast v2 recording: a header line, then one line for each thing that happened. Pure.

What a terminal shows comes in pieces that may end in the middle of a character: the rest of it opens the next line.
Knows no file, clock or terminal; times are seconds since the recording began.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

MEDIA_TYPE: Final = "application/x-asciicast"
OUTPUT: Final = "o"
INPUT: Final = "i"
RESIZE: Final = "r"


def header(*, cols: int, rows: int, began: int, term: str, title: str) -> bytes:
    """The first line; `began` is in whole seconds of the epoch."""
    values = {"version": 2, "width": cols, "height": rows, "timestamp": began, "title": title, "env": {"TERM": term}}
    return _line(values)


class Cast:
    """The lines after the header. Times never go back, whatever the caller's clock does."""

    def __init__(self) -> None:
        decoder: Callable[..., codecs.IncrementalDecoder] = codecs.getincrementaldecoder("utf-8")
        self._streams = {kind: decoder(errors="replace") for kind in (OUTPUT, INPUT)}
        self._at = 0.0

    def output(self, at: float, data: bytes) -> bytes:
        """The line of what was shown; b"" while a character is not whole."""
        return self._text(OUTPUT, at, data)

    def typed(self, at: float, data: bytes) -> bytes:
        return self._text(INPUT, at, data)

    def resized(self, at: float, cols: int, rows: int) -> bytes:
        return self._event(at, RESIZE, f"{cols}x{rows}")

    def end(self, at: float) -> bytes:
        """What a last, broken character leaves."""
        return b"".join(self._text(kind, at, b"", final=True) for kind in self._streams)

    def _text(self, kind: str, at: float, data: bytes, *, final: bool = False) -> bytes:
        text = self._streams[kind].decode(data, final)
        return self._event(at, kind, text) if text else b""

    def _event(self, at: float, kind: str, said: str) -> bytes:
        self._at = max(self._at, round(at, 6))
        return _line([self._at, kind, said])


class Extent(NamedTuple):
    """How much of a file is whole lines of a recording, and when the last of them happened."""

    size: int
    duration_s: float
    whole: bool
    """The header is there."""


def extent(lines: Iterable[bytes]) -> Extent:
    """Of a file whose writer was killed, read by lines: what follows the last whole line is not of the recording."""
    size, duration, whole = 0, 0.0, False
    for line in lines:
        value = _read(line)
        if not (_is_event(value) if whole else isinstance(value, dict) and value.get("version") == 2):
            break
        duration = max(duration, float(value[0])) if whole else duration
        size, whole = size + len(line), True
    return Extent(size, duration, whole)


def _is_event(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], (int, float))


def _read(line: bytes) -> Any:
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line)
    except ValueError:
        return None


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"
