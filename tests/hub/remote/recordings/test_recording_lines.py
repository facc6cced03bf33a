"""The Changes of recordings: each event of a code that the audit log knows, with its names."""

from __future__ import annotations

from collections.abc import Sequence

from hub.audit.rules import CODES
from hub.model.changes import Change, Drop, EventHappened, Patch, Put
from hub.remote.recordings import rules
from tests.support.database_rows import recording_row
from tests.support.machines import NOW

ROW = recording_row(id=9, session_id=4, rvm_id=7)


def event(changes: Sequence[Change]) -> EventHappened:
    (found,) = (change for change in changes if isinstance(change, EventHappened))
    return found


def test_every_event_names_the_session_and_where_there_is_one_the_recording() -> None:
    changes = [rules.began(ROW), rules.deleted(ROW, "user:3", NOW), rules.lost(ROW, NOW)]
    assert [type(change[0]) for change in changes] == [Put, Drop, Patch]
    events = [*map(event, changes), rules.played(ROW, "user:3", NOW), rules.downloaded(ROW, "user:3", NOW)]
    assert all(line.code in CODES and line.rvm_id == 7 and line.params["session_id"] == 4 for line in events)
    assert [line.params.get("recording_id") for line in events] == [None, 9, 9, 9, 9]
    assert [line.actor for line in events] == ["user:3", "user:3", "system", "user:3", "user:3"]


def test_the_clock_deletes_by_retention() -> None:
    assert event(rules.deleted(ROW, "clock", NOW)).params["why"] == "retention"
    assert "why" not in event(rules.deleted(ROW, "user:3", NOW)).params
