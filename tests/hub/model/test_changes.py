"""The few kinds of Changes, and how listeners find what they care about among them."""

from __future__ import annotations

import pytest

from db.records import CommandRow, EventRow, MachineRow, TokenRow
from hub.model.changes import Change, Drop, Patch, Put, drops, move, moved_rows, patches, put_rows
from hub.model.fleet import ALL_MEMBERS, DERIVED, Fleet, Touched, view_members
from hub.model.machine import Machine
from hub.model.views import MEMBERS
from tests.support.machines import NOW, machine

COMMAND = CommandRow(
    id="c", rvm_id=7, name="ping", args={}, state="queued", issued_by="user:1", issued_at=NOW, expires_at=NOW
)
EVENT = EventRow(at=NOW, code="x", actor="clock", params={})


def test_a_move_is_the_row_after_it_and_names_what_moved() -> None:
    sent = move(COMMAND, state="sent", sent_at=NOW)
    assert sent.members == ("state", "sent_at")
    assert isinstance(sent.row, CommandRow)
    assert (sent.row.state, sent.row.sent_at, sent.row.id, COMMAND.state) == ("sent", NOW, "c", "queued")


def test_listeners_find_the_rows_of_a_table() -> None:
    sent = move(COMMAND, state="sent")
    gone, edited = Drop(MachineRow, 7), Patch(MachineRow, 7, {"name": "n"})
    changes: list[Change] = [Put(COMMAND), Put(EVENT), sent, edited, gone]
    assert list(put_rows(changes, CommandRow)) == [COMMAND]
    assert list(put_rows(changes, EventRow)) == [EVENT]
    assert list(moved_rows(changes, CommandRow)) == [sent.row]
    assert list(moved_rows(changes, EventRow)) == []
    assert list(patches(changes, MachineRow)) == [edited]
    assert list(patches(changes, TokenRow)) == []
    assert list(drops(changes, MachineRow)) == [gone]
    assert list(drops(changes, TokenRow)) == []


def test_every_column_of_a_machine_is_seen_under_its_own_name_or_derived() -> None:
    assert view_members(MachineRow.__struct_fields__) <= MEMBERS
    assert set(DERIVED) <= {*MachineRow.__struct_fields__, *MEMBERS, *Machine.__dataclass_fields__}


def test_a_patch_changes_what_it_names_and_no_more() -> None:
    fleet = Fleet([machine()])
    touched = fleet.apply(Patch(MachineRow, 7, {"special_status": "error", "status_until": NOW}))
    assert touched == Touched(7, frozenset({"special_status", "effective_status", "status_until"}))
    assert (fleet.machines[7].effective_status, fleet.machines[7].name) == ("error", machine().name)


@pytest.mark.parametrize(("epoch", "applies"), [(4, True), (5, True), (3, False)])
def test_a_patch_of_an_older_link_changes_nothing(epoch: int, applies: bool) -> None:
    fleet = Fleet([machine(connection_epoch=4)])
    patch = Patch(MachineRow, 7, {"close_reason": "restart"}, where=(("connection_epoch", "<=", epoch),))
    assert (fleet.apply(patch) is not None) is applies
    assert (fleet.machines[7].row.close_reason == "restart") is applies


def test_a_patch_of_what_a_machine_is_found_by_moves_it() -> None:
    fleet = Fleet([machine()])
    fleet.apply(Patch(MachineRow, 7, {"device_id": "e", "api_key_prefix": "q", "api_key": "h"}))
    assert fleet.find("e") is fleet.by_key_prefix("q") is fleet.machines[7]
    assert fleet.find("orin-7") is None


def test_what_the_machine_sets_itself_settles_what_is_effective() -> None:
    fleet = Fleet([machine()])
    touched = fleet.apply(Patch(MachineRow, 7, {"config_own": {"temperature_warning_c": 50}}))
    assert touched is not None
    assert "config_wanted" in touched.members
    assert fleet.machines[7].effective_settings.values["temperature_warning_c"] == 50


def test_a_machine_that_was_dropped_is_gone() -> None:
    fleet = Fleet([machine()])
    assert fleet.apply(Drop(MachineRow, 7)) == Touched(7, frozenset(), removed=True)
    assert fleet.apply(Drop(MachineRow, 7)) is None
    assert fleet.apply(Drop(TokenRow, 7)) is None
    assert fleet.apply(Patch(MachineRow, 7, {"name": "n"})) is None
    assert fleet.apply(Put(EVENT)) is None
    assert frozenset() < ALL_MEMBERS
