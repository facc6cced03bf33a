"""Whose key it is: a swapped or cloned Jetson is seen, a system installed anew is not, and a person decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dashboard.trouble import settings_causes
from db.records import MachineRow
from hub.links import rules as link_rules
from hub.machines import rules
from hub.model.changes import Change, EventHappened, Patch, patches
from hub.model.effective_settings import DesiredSettings, ReportedSettings, effective_of
from hub.model.machine import Machine
from hub.model.views import machine_view
from protocol.errors import BOARD_REFUSED, BOARD_WAITS, CloseCode, RemoteProtocolError
from tests.support.machines import NOW, hello, machine

FIRST = {"board_serial": "1424", "machine_id": "a" * 64, "model": "Orin NX", "hostname": "rvm-7"}
OTHER = {**FIRST, "board_serial": "1599"}
FIRST_BOARD, OTHER_BOARD = rules.board_of(FIRST), rules.board_of(OTHER)


def introduced(hardware: dict[str, Any] | None, **members: Any) -> tuple[dict[str, Any], list[str]]:
    """What a hello changes of the boards, and its events about them."""
    said = hello(hardware=hardware)
    made: list[Change] = link_rules.introduce(machine(7, **members), said, 1, "10.0.0.7", NOW, "UTC")
    (facts,) = patches(made, MachineRow)
    boards = {name: value for name, value in facts.values.items() if name in rules.BOARD_MEMBERS}
    events = [one.code for one in made if isinstance(one, EventHappened) and one.code.startswith("machine.board")]
    return boards, events


def test_the_first_board_that_uses_a_key_is_the_machines() -> None:
    assert introduced(FIRST) == ({"board": FIRST_BOARD}, [])
    assert introduced(FIRST, board=FIRST_BOARD) == ({}, [])


@pytest.mark.parametrize("hardware", [None, {}, {"model": "Orin NX"}, {"board_serial": 7, "machine_id": ""}])
def test_software_that_does_not_report_its_board_is_not_judged(hardware: dict[str, Any] | None) -> None:
    assert introduced(hardware, board=FIRST_BOARD) == ({}, [])


def test_a_different_board_is_one_event_however_often_it_says_hello() -> None:
    boards, events = introduced(OTHER, board=FIRST_BOARD)
    assert boards == {"board_other": OTHER_BOARD, "board_other_at": NOW}
    assert events == ["machine.board_changed"]
    assert introduced(OTHER, board=FIRST_BOARD, board_other=OTHER_BOARD) == ({}, [])
    assert introduced(FIRST, board=FIRST_BOARD, board_other=OTHER_BOARD) == ({}, [])


def test_a_system_installed_anew_and_a_new_name_are_the_same_board() -> None:
    renewed = {**FIRST, "machine_id": "b" * 64, "hostname": "rvm-seven"}
    assert introduced(renewed, board=FIRST_BOARD) == ({"board": rules.board_of(renewed)}, [])


def test_boards_without_a_serial_differ_by_their_system() -> None:
    one, other = ({"machine_id": mark * 64} for mark in "ab")
    assert rules.same_board(one, one)
    assert not rules.same_board(one, other)
    assert rules.same_board({"serial": "1"}, one), "nothing to compare"


def test_an_accepted_board_is_the_machines_and_a_refused_one_is_kept_out() -> None:
    row = machine(7, board=FIRST_BOARD, board_other=OTHER_BOARD, board_other_at=NOW).row
    accepted, event = rules.decide_board(row, "user:1", NOW, accept=True)
    assert isinstance(accepted, Patch)
    assert isinstance(event, EventHappened)
    assert accepted.values == {"board": OTHER_BOARD, "board_other": None, "board_other_at": None, "updated_at": NOW}
    assert (accepted.where, accepted.must) == ((("board_other_at", "=", NOW),), "board_other_at")
    assert event.params == {"board": "Orin NX, 1599, rvm-7", "was": "Orin NX, 1424, rvm-7"}
    refused, event = rules.decide_board(row, "user:1", NOW, accept=False)
    assert isinstance(refused, Patch)
    assert isinstance(event, EventHappened)
    assert event.code == "machine.board_refused"
    after = machine(7, board=FIRST_BOARD, board_other=refused.values["board_other"])
    with pytest.raises(RemoteProtocolError) as wrong:
        link_rules.check_hello(after, hello(hardware=OTHER))
    assert (wrong.value.code, wrong.value.close) == (BOARD_REFUSED, CloseCode.REVOKED)
    link_rules.check_hello(after, hello(hardware=FIRST))
    link_rules.check_hello(after, hello(hardware=None))


def test_a_third_board_after_a_refusal_is_news_again() -> None:
    refused = {**(OTHER_BOARD or {}), "refused": True}
    third = {**FIRST, "board_serial": "1700"}
    boards, events = introduced(third, board=FIRST_BOARD, board_other=refused)
    assert (boards["board_other"], events) == (rules.board_of(third), ["machine.board_changed"])


def test_a_new_key_belongs_to_whoever_uses_it_first() -> None:
    patch = rules.replaced_key(7, "rvmk_AAAAAAAA", "a" * 64, NOW + timedelta(hours=1))
    assert {name: patch.values[name] for name in rules.BOARD_MEMBERS} == dict.fromkeys(rules.BOARD_MEMBERS)
    assert rules.board_words(None) == ""


def with_written(one: Machine, **values: Any) -> Machine:
    one.effective_settings = effective_of(one.effective_settings.values, DesiredSettings(values, 1))
    return one


def test_a_board_waits_where_the_hub_wants_it_and_the_machines_file_has_no_say() -> None:
    strict = with_written(machine(7, board=FIRST_BOARD), new_board_approval=True)
    with pytest.raises(RemoteProtocolError) as waits:
        link_rules.check_hello(strict, hello(hardware=OTHER))
    assert (waits.value.code, waits.value.close) == (BOARD_WAITS, CloseCode.OVERLOADED)
    for hardware in (FIRST, None, {"model": "Orin NX"}):
        link_rules.check_hello(strict, hello(hardware=hardware))
        assert link_rules.held_board(strict, hello(hardware=hardware), NOW) == []
    file = machine(7, board=FIRST_BOARD)
    local = ReportedSettings({"new_board_approval": True}, frozenset({"new_board_approval"}))
    file.effective_settings = effective_of(file.effective_settings.values, DesiredSettings({}, 0), local=local)
    link_rules.check_hello(file, hello(hardware=OTHER))
    unknown = with_written(machine(7), new_board_approval=True)
    link_rules.check_hello(unknown, hello(hardware=FIRST))


def test_a_board_that_waits_is_reported_once() -> None:
    strict = with_written(machine(7, board=FIRST_BOARD), new_board_approval=True)
    patch, event = link_rules.held_board(strict, hello(hardware=OTHER), NOW)
    assert isinstance(patch, Patch)
    assert isinstance(event, EventHappened)
    waiting = {**(OTHER_BOARD or {}), "held": "approval"}
    assert (patch.values["board_other"], event.code) == (waiting, "machine.board_held")
    told = with_written(machine(7, board=FIRST_BOARD, board_other=waiting, board_other_at=NOW), new_board_approval=True)
    assert link_rules.held_board(told, hello(hardware=OTHER), NOW) == []
    refused = {**(OTHER_BOARD or {}), "refused": True}
    out = with_written(machine(7, board=FIRST_BOARD, board_other=refused), new_board_approval=True)
    assert link_rules.held_board(out, hello(hardware=OTHER), NOW) == []
    let_in, events = introduced(OTHER, board=FIRST_BOARD, board_other=waiting, board_other_at=NOW)
    assert (let_in, events) == ({"board_other": OTHER_BOARD}, [])


def test_a_copy_waits_whatever_is_set_and_whoever_loses_is_refused() -> None:
    patch, event = link_rules.cloned(machine(7), FIRST_BOARD or {}, OTHER_BOARD or {}, NOW)
    assert isinstance(patch, Patch)
    assert isinstance(event, EventHappened)
    assert event.code == "machine.board_cloned"
    boards = {name: patch.values[name] for name in rules.BOARD_MEMBERS}
    both = machine(7, **boards)
    with pytest.raises(RemoteProtocolError) as waits:
        link_rules.check_hello(both, hello(hardware=OTHER))
    assert (waits.value.code, waits.value.close) == (BOARD_WAITS, CloseCode.REVOKED)
    link_rules.check_hello(both, hello(hardware=FIRST))
    assert introduced(OTHER, **boards) == ({}, []), "a hello on its way changes nothing of it"
    for accept, loser in ((True, FIRST), (False, OTHER)):
        decided, _ = rules.decide_board(both.row, "user:1", NOW, accept=accept)
        assert isinstance(decided, Patch)
        after = machine(7, **{name: decided.values.get(name, boards[name]) for name in rules.BOARD_MEMBERS})
        assert rules.is_refused(after.row, loser)
        assert not rules.is_refused(after.row, OTHER if accept else FIRST)


@pytest.mark.parametrize(
    ("held", "question"), [(None, "connected"), ("approval", "waits"), ("clone", "copy"), ("other", "connected")]
)
def test_the_view_says_what_is_to_be_decided(held: str | None, question: str) -> None:
    other = {**(OTHER_BOARD or {}), **({"held": held} if held else {})}
    one = machine(7, board=FIRST_BOARD, board_other=other, board_other_at=NOW)
    assert machine_view(one)["board_question"] == question
    (trouble,) = settings_causes(machine_view(one, times="ms"), 0)
    assert trouble.cause == {"connected": "board", "waits": "board_waits", "copy": "copy"}[question]
    assert trouble.who == "admin"
    assert machine_view(machine(7, board_other=other))["board_question"] is None
