"""How a session goes on and ends: each end once, by whoever comes first, with its reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.records import SESSION_PARTS, CommandRow, RemoteSessionRow
from hub.model.changes import Change, EventHappened, Move, moved_rows
from hub.model.machine import Machine
from hub.remote.rules import life
from tests.support.machines import NOW, machine


def session(status: str = "active", **members: Any) -> RemoteSessionRow:
    values: dict[str, Any] = {
        "id": 4, "rvm_id": 7, "admin_id": 3, "admin_name": "Siti", "start_time": NOW, "created_at": NOW,
        "expires_at": NOW + timedelta(minutes=30), "duration_s": 1800.0, "command_id": "c1", "ports": (),
        "allow": SESSION_PARTS,
    }  # fmt: skip
    return RemoteSessionRow(status=status, **{**values, **members})


def held(one: RemoteSessionRow, **members: Any) -> Machine:
    found = machine(**members)
    found.remote_sessions[one.id] = one
    return found


def moved_with_event(changes: list[Change]) -> tuple[RemoteSessionRow, str]:
    (moved,) = moved_rows(changes, RemoteSessionRow)
    (event,) = (change for change in changes if isinstance(change, EventHappened))
    return moved, event.code


def command(state: str, **members: Any) -> CommandRow:
    return CommandRow(
        id="c1", rvm_id=7, name="start_remote_access", args={}, state=state, issued_by="user:3", issued_at=NOW,
        expires_at=NOW, **members,
    )  # fmt: skip


def test_a_session_ends_once() -> None:
    after, code = moved_with_event(life.ended(session(), "timed_out", "clock", NOW))
    assert (after.status, after.end_reason, after.ended_by, after.end_time, code) == (
        "ended", "timed_out", "clock", NOW, "remote.ended",
    )  # fmt: skip
    assert life.ended(after, "stopped", "user:3", NOW) == []


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [("succeeded", "active", "remote.started"), ("rejected", "refused", "remote.refused"),
     ("failed", "ended", "remote.ended"), ("cancelled", "ended", "remote.ended")],
)  # fmt: skip
def test_the_end_of_its_command_is_its_beginning_or_its_end(state: str, status: str, code: str) -> None:
    after, said = moved_with_event(life.command_ended(held(session("starting")), command(state), NOW))
    assert (after.status, said) == (status, code)
    other = msgspec.structs.replace(command(state), id="c2")
    assert life.command_ended(held(session("starting")), other, NOW) == []


def test_what_a_machine_knows_nothing_of_any_more_is_over() -> None:
    one = held(session(), boot_id="a")
    assert life.ended_by_hello(one, "a", [4], NOW) == []
    assert moved_with_event(life.ended_by_hello(one, "a", [], NOW))[0].end_reason == "agent_restarted"
    assert moved_with_event(life.ended_by_hello(one, "b", [], NOW))[0].end_reason == "machine_rebooted"
    assert life.ended_by_hello(held(session("starting"), boot_id="a"), "b", [], NOW) == []


def test_the_link_may_be_gone_for_a_minute() -> None:
    one = held(session())
    one.linked, one.unlinked_at = False, 100.0
    assert not life.lost(one, session(), 160.0)
    assert life.lost(one, session(), 160.5)
    assert not life.lost(one, session(command_id=None), 1000.0), "it never had a link"
    one.linked = True
    assert not life.lost(one, session(), 1000.0)


def test_a_machines_own_reason_counts_and_an_unknown_word_is_stopped() -> None:
    one = held(session())
    assert moved_with_event(life.reported_end(one, 4, "link_lost", NOW))[0].end_reason == "link_lost"
    assert moved_with_event(life.reported_end(one, 4, "felt like it", NOW))[0].end_reason == "stopped"
    assert life.reported_end(one, 5, "stopped", NOW) == []


def test_time_ends_what_was_used_and_what_nobody_agreed_to() -> None:
    assert moved_with_event(life.time_ended(session(), NOW))[0].end_reason == "timed_out"
    assert moved_with_event(life.time_ended(session("requested"), NOW))[0].end_reason == "not_approved"


def test_declining_agreeing_and_lasting_longer_leave_their_lines() -> None:
    after, code = moved_with_event(life.declined(session("requested"), "user:9", NOW))
    assert (after.status, after.end_reason, after.ended_by, code) == (
        "refused",
        "declined",
        "user:9",
        "remote.declined",
    )
    assert life.approved(session("requested"), "user:9", NOW).code == "remote.approved"
    later = NOW + timedelta(hours=1)
    after, code = moved_with_event(life.extended(session(), later, "user:3", NOW))
    assert (after.expires_at, code) == (later, "remote.extended")


def test_a_session_waits_for_its_command_until_that_has_ended_otherwise() -> None:
    waiting, one = session("starting"), machine()
    assert life.never_began(one, waiting)
    one.pending["c1"] = command("sent")
    assert not life.never_began(one, waiting)
    assert not life.never_began(machine(), session("active"))


def test_what_somebody_else_shows_ends_the_session_once_and_stays_on_record() -> None:
    (line, moved, ended) = life.intruder(session(), 9, NOW)
    assert isinstance(line, EventHappened)
    assert isinstance(moved, Move)
    assert isinstance(moved.row, RemoteSessionRow)
    assert isinstance(ended, EventHappened)
    assert (line.code, line.params["user_id"], moved.row.end_reason) == ("remote.intruder", 9, "intruder")
    assert life.intruder(session("ended"), 9, NOW) == []


def test_an_open_session_is_found_on_any_machine() -> None:
    one = session()
    assert life.find([machine(), held(one)], 4) == one
    assert life.find([held(one)], 5) is None
