"""The small line: on its grid, broken at gaps."""

from __future__ import annotations

from dashboard import sparkline

NOW = 1_795_413_731_000


def test_points_become_grid_steps_and_gaps_break_the_line() -> None:
    points = [(NOW - 200_000, 100.0), (NOW - 10_000, 0.0), (NOW - 5_000, 50.0), (NOW, None)]
    assert sparkline.path(points, NOW) == "M20 0h0M58 16h0l1 -8"


def test_what_is_older_than_the_window_or_beyond_the_scale_does_no_harm() -> None:
    assert sparkline.path([(NOW - 400_000, 1.0), (NOW, 500.0)], NOW) == "M60 0h0"
    assert sparkline.path([], NOW) == ""
