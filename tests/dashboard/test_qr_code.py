"""What is drawn is the code, inside a quiet zone."""

from __future__ import annotations

import re

import pytest
import segno

from dashboard import qr_code

ADDRESS = "https://hub.example/m/RVM-007"
FINDER = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]


def drawn(text: str) -> list[str]:
    side, dark = qr_code.path(text)
    grid = [["0"] * side for _ in range(side)]
    for x, y, wide in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", dark):
        for at in range(int(wide)):
            grid[int(y)][int(x) + at] = "1"
    return ["".join(row) for row in grid]


@pytest.mark.parametrize("text", [ADDRESS, "https://hub.example/m/Mesin%20Gambir", "é" * 100, "z" * 412])
def test_the_path_draws_the_dark_modules_inside_a_quiet_zone(text: str) -> None:
    grid = drawn(text)
    inner = [row[4:-4] for row in grid[4:-4]]
    assert {*grid[:4], *grid[-4:]} == {"0" * len(grid)}
    assert {row[:4] + row[-4:] for row in grid} == {"0" * 8}
    for top, left in ((0, 0), (0, len(inner) - 7), (len(inner) - 7, 0)):
        assert [row[left : left + 7] for row in inner[top : top + 7]] == FINDER
    same = segno.make_qr(text, error="m", encoding="utf-8", boost_error=False)
    assert inner == ["".join(map(str, row)) for row in same.matrix]


def test_a_code_is_small_enough_for_a_label() -> None:
    assert qr_code.path("z" * 412)[0] == 17 + 4 * 15 + 8


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(qr_code.TextTooLongError, match="413 bytes; at most 412"):
        qr_code.path("z" * 413)
