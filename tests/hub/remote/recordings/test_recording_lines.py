"""The lines that terminals and their recordings leave: each of a code that the record knows, with its names."""

from __future__ import annotations

from hub.audit.rules import CODES
from hub.remote.recordings import rules
from tests.support.machines import NOW


def test_every_line_names_the_session_and_where_there_is_one_the_recording() -> None:
    lines = [
        rules.terminal_opened("user:3", NOW, 7, 4),
        rules.played("user:3", NOW, 7, 4, 9),
        rules.downloaded("user:3", NOW, 7, 4, 9),
        rules.deleted("user:3", NOW, 7, 4, 9),
        rules.lost(NOW, 7, 4, 9),
    ]
    assert all(line.code in CODES and line.rvm_id == 7 and line.params["session_id"] == 4 for line in lines)
    assert [line.params.get("recording_id") for line in lines] == [None, 9, 9, 9, 9]
    assert [line.actor for line in lines] == ["user:3"] * 4 + ["system"]


def test_what_the_clock_deletes_says_that_its_time_was_over() -> None:
    assert rules.deleted("clock", NOW, 7, 4, 9).params["why"] == "retention"
    assert "why" not in rules.deleted("user:3", NOW, 7, 4, 9).params
