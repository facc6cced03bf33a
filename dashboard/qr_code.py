"""A QR code (ISO/IEC 18004) of a short text, in rows of dark and light: byte mode, correction M, versions 1 to 15."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

MAX_BYTES: Final = 412
"""What version 15 holds at level M."""
KEPT: Final = 1024  # Codes kept in memory
QUIET: Final = 4  # Light modules around the code, as the standard wants them
_CORRECTION: Final = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24)  # Codewords of a block, by version
_BLOCKS: Final = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10)
_MASKS: Final[tuple[Callable[[int, int], int], ...]] = (
    lambda row, column: (row + column) % 2,
    lambda row, _column: row % 2,
    lambda _row, column: column % 3,
    lambda row, column: (row + column) % 3,
    lambda row, column: (row // 2 + column // 3) % 2,
    lambda row, column: row * column % 2 + row * column % 3,
    lambda row, column: (row * column % 2 + row * column % 3) % 2,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2,
)
"""A module of data is turned where its mask gives 0."""
_LIKE_A_FINDER: Final = ([1, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1])
Grid = list[list[int]]


class TextTooLongError(ValueError):
    """More than MAX_BYTES."""


@lru_cache(maxsize=KEPT)
def path(text: str) -> tuple[int, str]:
    """The side in modules, with the quiet zone, and an SVG path of the dark ones. Raises TextTooLongError."""
    grid = code(text)
    runs = []
    for y, row in enumerate(grid):
        x = 0
        for dark, run in groupby(row):
            wide = len(list(run))
            if dark:
                runs.append(f"M{x + QUIET} {y + QUIET}h{wide}v1h-{wide}z")
            x += wide
    return len(grid) + 2 * QUIET, "".join(runs)


def code(text: str) -> Grid:
    """Rows of modules, 1 for dark, with the mask that reads best. Raises TextTooLongError."""
    data = text.encode()
    version = _version_for(len(data))
    plain, fixed = _patterns(version)
    _place(plain, fixed, _codewords(data, version))
    masked = (_masked(plain, fixed, number) for number in range(len(_MASKS)))
    return min(masked, key=_penalty)


def _version_for(size: int) -> int:
    for version in range(1, len(_BLOCKS) + 1):
        if size <= _data_words(version) - (3 if version > 9 else 2):
            return version
    raise TextTooLongError(f"{size} bytes; at most {MAX_BYTES}")


def _all_words(version: int) -> int:
    modules = (16 * version + 128) * version + 64
    if version > 1:
        lines = version // 7 + 2
        modules -= (25 * lines - 10) * lines - 55
    return (modules - (36 if version > 6 else 0)) // 8


def _data_words(version: int) -> int:
    return _all_words(version) - _CORRECTION[version - 1] * _BLOCKS[version - 1]


def _codewords(data: bytes, version: int) -> bytes:
    """Data and its corrections, block by block, interleaved."""
    room, count, extra = _data_words(version), _BLOCKS[version - 1], _CORRECTION[version - 1]
    bits = "0100" + format(len(data), "016b" if version > 9 else "08b") + "".join(format(byte, "08b") for byte in data)
    bits += "0" * min(4, room * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    words += [(0xEC, 0x11)[n % 2] for n in range(room - len(words))]
    blocks, at = [], 0
    for number in range(count):
        size = room // count + (number >= count - room % count)
        blocks.append(words[at : at + size])
        at += size
    corrections = [_correction(block, extra) for block in blocks]
    return bytes([*_interleaved(blocks), *_interleaved(corrections)])


def _interleaved(blocks: Sequence[Sequence[int]]) -> Iterator[int]:
    for at in range(max(map(len, blocks))):
        yield from (block[at] for block in blocks if at < len(block))


def _times(a: int, b: int) -> int:
    """In the field of 256 elements over x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = (a << 1) ^ (0x11D if a & 0x80 else 0), b >> 1
    return product


@lru_cache(maxsize=len(_BLOCKS))
def _generator(degree: int) -> tuple[int, ...]:
    """(x - 1)(x - 2)(x - 4)..., its leading 1 left out."""
    found, root = [0] * (degree - 1) + [1], 1
    for _ in range(degree):
        found = [_times(factor, root) ^ following for factor, following in zip(found, [*found[1:], 0], strict=True)]
        root = _times(root, 2)
    return tuple(found)


def _correction(block: Sequence[int], degree: int) -> list[int]:
    rest = [0] * degree
    for word in block:
        factor = word ^ rest[0]
        rest = [one ^ _times(two, factor) for one, two in zip([*rest[1:], 0], _generator(degree), strict=True)]
    return rest


def _patterns(version: int) -> tuple[Grid, Grid]:
    """What every code of that version has, and where nothing else may stand."""
    size = 17 + 4 * version
    grid, fixed = [[0] * size for _ in range(size)], [[0] * size for _ in range(size)]

    def put(row: int, column: int, dark: int) -> None:
        if 0 <= row < size and 0 <= column < size:
            grid[row][column], fixed[row][column] = dark, 1

    for at in range(size):
        put(6, at, at % 2 == 0)
        put(at, 6, at % 2 == 0)
    for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):
        _square(put, row, column, 4, (0, 1, 3))
    centres = _alignments(version)
    for row in centres:
        for column in centres:
            if (row, column) not in ((6, 6), (6, centres[-1]), (centres[-1], 6)):
                _square(put, row, column, 2, (0, 2))
    _put_format(put, size, 0)
    if version > 6:
        _put_version(put, size, version)
    return [[int(dark) for dark in line] for line in grid], fixed


Put = Callable[[int, int, int], None]


def _square(put: Put, row: int, column: int, reach: int, dark: Sequence[int]) -> None:
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            put(row + down, column + right, max(abs(down), abs(right)) in dark)


def _alignments(version: int) -> list[int]:
    if version == 1:
        return []
    lines = version // 7 + 2
    step = (version * 4 + lines * 2 + 1) // (lines * 2 - 2) * 2
    return sorted([6, *(10 + 4 * version - step * number for number in range(lines - 1))])


def _remainder(value: int, generator: int, bits: int) -> int:
    for _ in range(bits):
        value = (value << 1) ^ (generator if value >> (bits - 1) & 1 else 0)
    return value


def _put_format(put: Put, size: int, mask: int) -> None:
    """Level M is 00, so the mask's number is all there is to say; said twice."""
    bits = (mask << 10 | _remainder(mask, 0x537, 10)) ^ 0x5412
    first = [
        (0, 8),
        (1, 8),
        (2, 8),
        (3, 8),
        (4, 8),
        (5, 8),
        (7, 8),
        (8, 8),
        (8, 7),
        *((8, at) for at in range(5, -1, -1)),
    ]
    second = [*((8, size - 1 - at) for at in range(8)), *((size - 7 + at, 8) for at in range(7))]
    for number, (one, two) in enumerate(zip(first, second, strict=True)):
        put(*one, bits >> number & 1)
        put(*two, bits >> number & 1)
    put(size - 8, 8, 1)


def _put_version(put: Put, size: int, version: int) -> None:
    bits = version << 12 | _remainder(version, 0x1F25, 12)
    for number in range(18):
        far, near = size - 11 + number % 3, number // 3
        put(near, far, bits >> number & 1)
        put(far, near, bits >> number & 1)


def _place(grid: Grid, fixed: Grid, words: bytes) -> None:
    """From the right in pairs of columns, up and down in turn; the column of the timing pattern is left out."""
    size = len(grid)
    bits = "".join(format(word, "08b") for word in words)
    at, up = 0, True
    for right in [*range(size - 1, 6, -2), *range(5, 0, -2)]:
        for row in range(size - 1, -1, -1) if up else range(size):
            for column in (right, right - 1):
                if not fixed[row][column] and at < len(bits):
                    grid[row][column], at = int(bits[at]), at + 1
        up = not up


def _masked(plain: Grid, fixed: Grid, number: int) -> Grid:
    turn = _MASKS[number]
    grid = [
        [dark if fixed[row][column] else dark ^ (turn(row, column) == 0) for column, dark in enumerate(line)]
        for row, line in enumerate(plain)
    ]

    def put(row: int, column: int, dark: int) -> None:
        grid[row][column] = dark

    _put_format(put, len(grid), number)
    return grid


def _penalty(grid: Grid) -> int:
    """By the standard's four rules; less reads better."""
    lines = [*grid, *([list(column) for column in zip(*grid, strict=True)])]
    runs = sum(length - 2 for line in lines for _, run in groupby(line) if (length := len(list(run))) > 4)
    size = len(grid)
    blocks = sum(
        grid[row][at] == grid[row][at + 1] == grid[row + 1][at] == grid[row + 1][at + 1]
        for row in range(size - 1)
        for at in range(size - 1)
    )
    finders = sum(line[at : at + 11] in _LIKE_A_FINDER for line in lines for at in range(size - 10))
    dark = sum(map(sum, grid))
    share = abs(dark * 20 - size * size * 10) // (size * size)
    return runs + 3 * blocks + 40 * finders + 10 * share
