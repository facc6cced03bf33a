"""The smallest camera picture there is: a grey JPEG made of squares of 8 x 8 pixels, in a few lines and no library.

Baseline JPEG with the mean of each square only (its DC coefficient); every square ends right after it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

SQUARE: Final = 8
_MIDDLE: Final = 128
_LENGTHS: Final = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
"""How many codes there are of each length, for the sizes 0 to 11 of a difference: the standard's own table."""
_CODES: Final = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110", "111111110")
_END_OF_SQUARE: Final = "0"


def encode(squares: Sequence[Sequence[int]]) -> bytes:
    """Rows of grey values, 0 to 255; the picture is eight times as wide and as high."""
    height, width = len(squares) * SQUARE, len(squares[0]) * SQUARE
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xDB, b"\0" + bytes([SQUARE]) * 64),  # so a coefficient is the mean itself
            _segment(0xC0, struct.pack("!BHHBBBB", 8, height, width, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\0" + _LENGTHS + bytes(range(len(_CODES)))),
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
            _segment(0xDA, b"\1\1\0\0\x3f\0"),
            _scan(value for row in squares for value in row),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack("!BBH", 0xFF, marker, len(data) + 2) + data


def _scan(values: Iterable[int]) -> bytes:
    """Each mean as the difference from the one before it: its size in bits, then its bits."""
    bits: list[str] = []
    before = 0
    for value in values:
        mean = value - _MIDDLE
        difference, before = mean - before, mean
        size = abs(difference).bit_length()
        shown = difference if difference >= 0 else difference + (1 << size) - 1
        bits.append(_CODES[size] + (f"{shown:0{size}b}" if size else "") + _END_OF_SQUARE)
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    packed = int(text, 2).to_bytes(len(text) // 8, "big")
    return packed.replace(b"\xff", b"\xff\0")
