"""A new machine or key as the Changes it is made of; the secret itself is in none of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.records import EventRow, MachineRow
from hub.machines import rules
from hub.model.changes import Change, EventHappened, Patch, put_rows
from hub.model.credentials import Secret, hash_of
from tests.support.machines import NOW, machine


def event(changes: list[Change]) -> EventHappened:
    (found,) = (change for change in changes if isinstance(change, EventHappened))
    return found


def hides(secret: Secret, changes: list[Change]) -> bool:
    return secret.text not in str(changes)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Kantin Timur 2", "kantin-timur-2"), ("???", "rvm"), ("x" * 99, "x" * 40), ("a" * 39 + " b", "a" * 39)],
)
def test_an_id_still_names_the_machine_and_is_never_the_same(name: str, slug: str) -> None:
    ids = {rules.device_id_for(name) for _ in range(20)}
    assert len(ids) == 20
    assert {found.rpartition("-")[0] for found in ids} == {slug}


def test_a_new_machine_has_a_key_that_only_its_hash_is_kept_of() -> None:
    secret, changes = rules.new_machine(rules.MachineFacts("Aula", "aula-1", simulated=True), "system", NOW)
    added = next(put_rows(changes, MachineRow))
    assert (added.device_id, added.api_key, added.simulated) == ("aula-1", hash_of(secret.text), True)
    assert event(changes).params == {"name": "Aula", "device_id": "aula-1", "location_description": None}
    assert hides(secret, changes)
    _, changes = rules.new_machine(rules.MachineFacts("Aula", "aula-1", tags=("mall",)), "system", NOW)
    assert next(put_rows(changes, MachineRow)).tags == ("mall",)
    assert event(changes).params["tags"] == ["mall"]


def test_another_key_says_which_was_there_before() -> None:
    secret, changes = rules.new_key(7, "rvmk_OLD", "user:1", NOW)
    edited = changes[0]
    assert isinstance(edited, Patch)
    assert edited.values == {
        "api_key": secret.hash, "api_key_prefix": secret.prefix, "quarantined_until": None, "updated_at": NOW,
        "board": None, "board_other": None, "board_other_at": None,
        "next_api_key": None, "next_api_key_prefix": None, "next_api_key_at": None,
    }  # fmt: skip
    assert event(changes).before == {"api_key_prefix": "rvmk_OLD"}
    assert hides(secret, changes)


def test_a_name_is_taken_that_looks_the_same_and_an_id_in_other_capitals() -> None:
    seven = machine(7, name="Jos\u00e9", device_id="aula-1")
    machines = [seven.row, machine(8, name="Kantin", device_id="aula-2").row]
    assert rules.taken(machines, "Jose\u0301", None) == "name"
    assert rules.taken(machines, None, "AULA-2") == "device_id"
    assert rules.taken(machines, "Jos\u00e9", "aula-1", own_id=7) is None
    assert rules.taken(machines, "Lobi", "lobi") is None
    assert rules.is_name(" Jose\u0301 ", "Jos\u00e9")
    assert not rules.is_name("Jose", "Jos\u00e9")


EDIT = EventRow(
    at=NOW, code="machine.edited", actor="user:1", rvm_id=7, before={"name": "Aula"}, after={"name": "Lobi"}
)


@pytest.mark.parametrize(
    ("changed", "by", "later", "found"),
    [
        ({}, "user:1", 0, {"name": "Aula"}),
        ({}, "user:1", 601, None),
        ({}, "user:2", 0, None),
        ({"after": {"name": "Kantin"}}, "user:1", 0, None),
        ({"after": {"nothing": 1}}, "user:1", 0, None),
    ],
)
def test_an_edit_is_taken_back_by_who_made_it_while_it_holds(
    changed: dict[str, Any], by: str, later: int, found: Any
) -> None:
    edit = msgspec.structs.replace(EDIT, **changed)
    assert rules.before_edit(machine(7, name="Lobi"), edit, by, NOW + timedelta(seconds=later)) == found
