"""The small line: on its grid, broken at gaps."""

from __future__ import annotations

import re

from dashboard import sparkline
from dashboard.esbuild import STATIC
from hub.model import trend

NOW = 1_795_413_731_000
STEP = sparkline.STEP_MS


def test_points_become_grid_steps_and_gaps_break_the_line() -> None:
    points = [(NOW - 20 * STEP, 100.0), (NOW - 3 * STEP, 0.0), (NOW - STEP, 50.0), (NOW, None)]
    assert sparkline.path(points, NOW) == "M27 0h0M44 16h0l2 -8"
    assert sparkline.path(points, NOW, gap=17) == "M27 0h0l17 16l2 -8"


def test_what_is_older_than_the_window_or_beyond_the_scale_does_no_harm() -> None:
    assert sparkline.path([(NOW - 48 * STEP, 1.0), (NOW + STEP, 1.0), (NOW, 500.0)], NOW) == "M47 0h0"
    assert sparkline.path([], NOW) == ""


def test_a_machine_that_keeps_samples_more_rarely_has_no_gap_between_them() -> None:
    assert [sparkline.gap_of(seconds) for seconds in (5, 300, 600, 900)] == [2, 2, 3, 5]


def test_hub_browser_and_memory_have_one_grid() -> None:
    script = (STATIC / "js/sparkline.js").read_text("utf-8")
    found = {name: int(value) for name, value in re.findall(r"const (STEP_MS|STEPS|HEIGHT) = (\d+);", script)}
    assert found == {"STEP_MS": sparkline.STEP_MS, "STEPS": sparkline.STEPS, "HEIGHT": sparkline.HEIGHT}
    assert (trend.STEP_MS, trend.STEPS) == (sparkline.STEP_MS, sparkline.STEPS)
