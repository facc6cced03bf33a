"""Every benchmark is one command that runs, with small numbers; first without the hub, then with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from bench import backup, broker, commands, fanout, idle, ingest, page, storm, terminal, tunnel

Command = Callable[[list[str]], int]
SMALL = ["--machines", "6", "--seconds", "0.3", "--repeat", "1"]
ALONE: list[tuple[Command, list[str], str]] = [
    (ingest.main, ["--only", "durable"], "samples/s acknowledged"),
    (commands.main, ["--orders", "12", "--others", "0,4", "--settle", "0.2", "--only", "bare,light"], "p99"),
    (idle.main, ["--only", "bare"], "memory a machine"),
    (storm.main, ["--jitter", "0.3", "--only", "bare"], "all live again after"),
    (fanout.main, ["--browsers", "2", "--only", "bare"], "share of a core"),
    (terminal.main, ["--keys", "10", "--pause", "0", "--only", "bare"], "bare: p50"),
    (backup.main, ["--megabytes", "2", "--only", "archive"], "speed: check / tar -xz"),
    (backup.main, ["--files", "2500", "--only", "unchanged"], "time: incremental / find -ls"),
]
BESIDE: list[tuple[Command, list[str], str]] = [
    (ingest.main, ["--open", "300", "--only", "durable,hub"], "hub / durable: p99"),
    (commands.main, ["--orders", "12", "--others", "4", "--settle", "0.2", "--only", "hub,bare"], "4 others: p99"),
    (commands.main, ["--orders", "12", "--others", "0", "--order", "status", "--only", "hub"], "round trip (status)"),
    (storm.main, [], "hub / bare: all live again"),
    (fanout.main, ["--browsers", "2", "--only", "hub"], "hub, 2 browsers: share of a core"),
    (terminal.main, ["--keys", "10", "--pause", "0"], "hub / bare: p50"),
    (tunnel.main, ["--megabytes", "1", "--rate", "50"], "worst p99 beside the file"),
    (backup.main, ["--megabytes", "20", "--only", "upload"], "speed: hub form / bare"),
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


def test_mosquitto_is_measured_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*SMALL, "--orders", "5", "--others", "3", "--settle", "0.2", "--only", "mosquitto,installed"]
    if broker.find():
        assert commands.main(flags) == 0
        said = capsys.readouterr().out
        assert "installed" in said
        assert "refused" not in said
    monkeypatch.setattr(broker, "BINARIES", ())
    assert commands.main(flags) == 0
    assert "not installed" in capsys.readouterr().out


@pytest.mark.skipif(not any(map(shutil.which, page.CHROMIUM)), reason="needs a Chromium on PATH")
def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["--machines", "3", "--seconds", "2", "--repeat", "1"]) == 0
    said = capsys.readouterr().out
    assert "machine Overview: first contentful paint" in said
    assert "Machines: stamp to pixels p99" in said
