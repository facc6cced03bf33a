"""Codes are read back the way a camera's program does, after the marks that it finds them by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest

from dashboard import qr_code

ADDRESS = "https://hub.example/m/RVM-007"
SAME_AS_SEGNO = {"x" * 122: "91c925bdfb77e72b", "y" * 213: "3bb4dc258df63cd7", "z" * 412: "747bb67d369ee916"}
"""Of the matrix that segno makes of it with level M, its sha256."""
M_BLOCKS = {1: (1, 10), 3: (1, 26), 7: (4, 18), 10: (5, 26), 15: (10, 24)}
"""Blocks, and correction codewords of each (ISO/IEC 18004, table 9)."""
FINDER = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]


def rows(text: str) -> list[str]:
    return ["".join(map(str, row)) for row in qr_code.code(text)]


def reserved(size: int) -> set[tuple[int, int]]:
    """Where no data stands: finders with their format, timing, alignment, version."""
    version = (size - 17) // 4
    found = {(r, c) for r in range(9) for c in range(9)}
    found |= {(r, size - 1 - c) for r in range(9) for c in range(8)} | {
        (size - 1 - r, c) for r in range(8) for c in range(9)
    }
    found |= {(6, n) for n in range(size)} | {(n, 6) for n in range(size)}
    centres = {1: [], 3: [6, 22], 7: [6, 22, 38], 10: [6, 28, 50], 15: [6, 26, 48, 70]}[version]
    corners = {(6, 6), (6, centres[-1]), (centres[-1], 6)} if centres else set()
    for r, c in {(r, c) for r in centres for c in centres} - corners:
        found |= {(r + down, c + right) for down in range(-2, 3) for right in range(-2, 3)}
    if version > 6:
        found |= {(r, size - 11 + c) for r in range(6) for c in range(3)}
        found |= {(size - 11 + c, r) for r in range(6) for c in range(3)}
    return found


def mask_of(code: list[str]) -> int:
    bits = "".join(code[8][c] for c in (0, 1, 2, 3, 4, 5, 7, 8)) + "".join(code[r][8] for r in (7, 5, 4, 3, 2, 1, 0))
    size = len(code)
    again = "".join(code[size - 1 - r][8] for r in range(7)) + "".join(code[8][c] for c in range(size - 8, size))
    assert bits == again, "the format is said twice"
    return (int(bits, 2) ^ 0x5412) >> 10 & 7


TURNS: tuple[Callable[[int, int], bool], ...] = (
    lambda r, c: (r + c) % 2 == 0, lambda r, _c: r % 2 == 0, lambda _r, c: c % 3 == 0, lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0, lambda r, c: (r * c) % 2 + (r * c) % 3 == 0,
    lambda r, c: ((r * c) % 2 + (r * c) % 3) % 2 == 0, lambda r, c: ((r + c) % 2 + (r * c) % 3) % 2 == 0,
)  # fmt: skip


def words_of(code: list[str]) -> list[int]:
    size, turn, fixed = len(code), TURNS[mask_of(code)], reserved(len(code))
    bits, up = "", True
    for right in [c for c in range(size - 1, 0, -2) if c > 6] + [5, 3, 1]:
        for r in range(size - 1, -1, -1) if up else range(size):
            for c in (right, right - 1):
                if (r, c) not in fixed:
                    bits += str(int(code[r][c]) ^ turn(r, c))
        up = not up
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]


LOGS = [1]
for _ in range(254):
    LOGS.append(LOGS[-1] << 1 ^ (0x11D if LOGS[-1] & 128 else 0))


def times(a: int, b: int) -> int:
    return LOGS[(LOGS.index(a) + LOGS.index(b)) % 255] if a and b else 0


def read(code: list[str]) -> str:
    """The text, if every block's syndromes are nought."""
    version = (len(code) - 17) // 4
    count, extra = M_BLOCKS[version]
    words = words_of(code)
    room = len(words) - count * extra
    sizes = [room // count + (n >= count - room % count) for n in range(count)]
    blocks: list[list[int]] = [[] for _ in sizes]
    stream = iter(words)
    for at in range(max(sizes)):
        for block, size in zip(blocks, sizes, strict=True):
            if at < size:
                block.append(next(stream))
    data = [word for block in blocks for word in block]
    for _ in range(extra):
        for block in blocks:
            block.append(next(stream))
    for block in blocks:
        for power in range(extra):
            sum_, at = 0, LOGS[power]
            for word in block:
                sum_ = times(sum_, at) ^ word
            assert sum_ == 0, "a codeword is wrong"
    bits = "".join(format(word, "08b") for word in data)
    assert bits[:4] == "0100"
    wide = 16 if version > 9 else 8
    length = int(bits[4 : 4 + wide], 2)
    raw = bits[4 + wide : 4 + wide + 8 * length]
    return bytes(int(raw[at : at + 8], 2) for at in range(0, len(raw), 8)).decode()


@pytest.mark.parametrize(
    "text", ["a", ADDRESS, "https://hub.example/m/Mesin%20Gambir", "x" * 122, "y" * 213, "é" * 100, "z" * 412]
)
def test_a_code_says_what_was_put_into_it(text: str) -> None:
    code = rows(text)
    size = len(code)
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        assert [row[left : left + 7] for row in code[top : top + 7]] == FINDER
    assert read(code) == text


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(qr_code.TextTooLongError, match="412"):
        qr_code.path("z" * 413)


def test_the_path_draws_the_dark_modules_inside_a_quiet_zone() -> None:
    side, drawn = qr_code.path(ADDRESS)
    assert side == len(rows(ADDRESS)) + 8
    grid = [["0"] * (side - 8) for _ in range(side - 8)]
    for x, y, wide in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", drawn):
        for at in range(int(wide)):
            grid[int(y) - 4][int(x) - 4 + at] = "1"
    assert ["".join(row) for row in grid] == rows(ADDRESS)


@pytest.mark.parametrize(("text", "mark"), SAME_AS_SEGNO.items())
def test_it_is_the_code_that_others_make(text: str, mark: str) -> None:
    assert hashlib.sha256("\n".join(rows(text)).encode()).hexdigest()[:16] == mark
