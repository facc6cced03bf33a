"""What is encoded is a JPEG: read back here by the standard's own rules, every square has its grey again."""

from __future__ import annotations

import random
import struct

import pytest

from demo import camera


def segments(jpeg: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    """Each marker's data, and the scan."""
    assert jpeg[:2] == b"\xff\xd8"
    assert jpeg[-2:] == b"\xff\xd9"
    found: dict[int, list[bytes]] = {}
    at = 2
    while True:
        mark, kind, length = struct.unpack("!BBH", jpeg[at : at + 4])
        assert mark == 0xFF
        found.setdefault(kind, []).append(jpeg[at + 4 : at + 2 + length])
        at += 2 + length
        if kind == 0xDA:
            return found, jpeg[at:-2].replace(b"\xff\0", b"\xff")


def codes(table: bytes) -> dict[str, int]:
    """A table of a DHT segment as bits to symbol, by the canonical rule."""
    code, place, found = 0, 17, {}
    for length in range(1, 17):
        for _ in range(table[length]):
            found[f"{code:0{length}b}"] = table[place]
            code, place = code + 1, place + 1
        code <<= 1
    return found


def decode(jpeg: bytes) -> list[list[int]]:
    found, scan = segments(jpeg)
    _, height, width, *_ = struct.unpack("!BHHBBBB", found[0xC0][0])
    sizes, ends = (codes(table) for table in found[0xC4])
    bits = "".join(f"{byte:08b}" for byte in scan)
    at, mean, grey = 0, 128, list[int]()
    for _ in range(width * height // 64):
        size, at = next((sizes[bits[at:to]], to) for to in range(at + 1, at + 17) if bits[at:to] in sizes)
        if size:
            value = int(bits[at : at + size], 2)
            mean += value if value >> (size - 1) else value - (1 << size) + 1
        at += size
        assert ends[bits[at]] == 0
        at += 1
        grey.append(mean)
    assert set(bits[at:]) <= {"1"}
    assert len(bits) - at < 8
    return [grey[row : row + width // 8] for row in range(0, len(grey), width // 8)]


@pytest.mark.parametrize("seed", range(5))
def test_every_square_has_its_grey_again(seed: int) -> None:
    dice = random.Random(seed)
    squares = [[dice.choice((0, 255, dice.randrange(256))) for _ in range(13)] for _ in range(7)]
    assert decode(camera.encode(squares)) == squares


def test_a_quiet_picture_is_small() -> None:
    assert len(camera.encode([[77] * 80] * 45)) < 1600
