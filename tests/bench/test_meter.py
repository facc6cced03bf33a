"""What the meter reads from /proc, and the summaries."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench import meter, report


def test_it_charges_a_process_and_its_children() -> None:
    before = meter.cpu_seconds([os.getpid()])
    burn = (
        "import time; t = time.process_time()\nwhile time.process_time() - t < 0.3: pass\nprint(1, flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert meter.cpu_seconds([os.getpid()]) - before >= 0.25
    child.communicate(b"\n")
    assert meter.rss_bytes([os.getpid()]) > 1_000_000


def test_a_process_that_is_gone_costs_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert meter.cpu_seconds([gone.pid]) == 0.0
    assert meter.rss_bytes([gone.pid]) == 0


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 51), (99, 100), (100, 100)])
def test_percentiles_are_nearest_ranks(percent: float, value: float) -> None:
    assert meter.percentile(list(range(100, 0, -1)), percent) == value
    assert meter.percentile([], percent) == 0.0


def test_a_ratio_is_the_median_of_the_ratios_of_each_turn(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.ratio("ours / bare", [1.0, 9.0, 4.0], [2.0, 3.0, 4.0], ">= 0.5") == 1.0
    assert "goal >= 0.5" in capsys.readouterr().out
    assert report.ratio("nothing to compare", [1.0], [0.0], "-") == 0.0
    report.heading("title")
    report.row("figure", [1.0, 2.0, 3.0], "ms")
    assert "2.0 ms" in capsys.readouterr().out


def test_time_passes_for_the_meter_too() -> None:
    used, until = meter.cpu_seconds([os.getpid()]), time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert meter.cpu_seconds([os.getpid()]) - used >= 0.05
