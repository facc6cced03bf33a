"""What the command line writes of others' texts: nothing in them reaches the terminal as a command."""

from __future__ import annotations

import json

import pytest

from hub.cli import output

HOSTILE = "a\x1b[31mb\u009b31mc\u202ed\x7fe\nf"


def test_json_escapes_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    output.result_json({"name": HOSTILE, "place": "Jalan Cihampelas, café"})
    line = capsys.readouterr().out
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert "café" in line
    assert json.loads(line)["name"] == HOSTILE


def test_a_table_shows_that_something_was_there(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([{"name": HOSTILE}], ("name",))
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
