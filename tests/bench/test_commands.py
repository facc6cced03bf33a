"""Every benchmark is one command that runs, with small numbers; first without the hub, then with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from bench import fanout, idle, ingest, page, round_trip, storm

Command = Callable[[list[str]], int]
SMALL = ["--machines", "6", "--seconds", "0.3", "--repeat", "1"]
ALONE: list[tuple[Command, list[str], str]] = [
    (ingest.main, ["--only", "durable"], "samples/s acknowledged"),
    (round_trip.main, ["--orders", "12", "--only", "bare"], "p99"),
    (idle.main, ["--only", "bare"], "memory a machine"),
    (storm.main, ["--jitter", "0.3", "--only", "bare"], "all live again after"),
    (fanout.main, ["--browsers", "2", "--only", "bare"], "share of a core"),
]
BESIDE: list[tuple[Command, list[str], str]] = [
    (ingest.main, ["--open", "300", "--only", "durable,hub"], "hub / durable: p99"),
    (round_trip.main, ["--orders", "12"], "hub / bare: p99"),
    (storm.main, [], "hub / bare: all live again"),
    (fanout.main, ["--browsers", "2", "--only", "hub"], "hub, 2 browsers: share of a core"),
]


@pytest.mark.parametrize(("command", "flags", "figure"), ALONE)
def test_a_yardstick_alone(command: Command, flags: list[str], figure: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*SMALL, *flags]) == 0
    assert figure in capsys.readouterr().out


@pytest.mark.parametrize(("command", "flags", "figure"), BESIDE)
def test_the_hub_beside_its_yardstick(
    command: Command, flags: list[str], figure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*SMALL, *flags]) == 0
    said = capsys.readouterr().out
    assert figure in said
    assert "closed" not in said
    assert '"error"' not in said


@pytest.mark.skipif(not any(map(shutil.which, page.CHROMIUM)), reason="needs a Chromium on PATH")
def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["--machines", "3", "--seconds", "2", "--repeat", "1"]) == 0
    said = capsys.readouterr().out
    assert "machine Overview: first contentful paint" in said
    assert "Machines: stamp to pixels p99" in said
