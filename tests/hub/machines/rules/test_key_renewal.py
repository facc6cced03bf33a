"""A key that is renewed over the link: which offer is committed, what its first use changes, and what giving it up."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import pytest

from db.records import CommandRow, MachineRow
from hub.machines import rules
from hub.model.changes import Change, EventHappened, Patch, patches
from hub.model.machine import Machine
from protocol.messages import KeyOffer
from tests.support.machines import NOW, machine

OFFER = KeyOffer(command="c1", key_prefix="rvmk_BBBBBBBB", key_hash="1" * 64)
NEXT: Final[dict[str, Any]] = {"next_api_key": "1" * 64, "next_api_key_prefix": "rvmk_BBBBBBBB", "next_api_key_at": NOW}


def asked(name: str = "renew_key", cancel_at: datetime | None = None, **members: Any) -> Machine:
    row = CommandRow(
        id="c1",
        rvm_id=7,
        name=name,
        args={},
        state="sent",
        issued_by="user:1",
        issued_at=NOW,
        expires_at=NOW,
        cancel_at=cancel_at,
    )
    return machine(7, pending={"c1": row}, **members)


def made(changes: list[Change]) -> tuple[Patch, EventHappened]:
    (patch,), (event,) = patches(changes, MachineRow), (one for one in changes if isinstance(one, EventHappened))
    return patch, event


@pytest.mark.parametrize(
    ("found", "taken", "why"),
    [
        (asked(), False, None), (asked(), True, "like another"), (asked("ping"), False, "nobody asks"),
        (asked(cancel_at=NOW), False, "nobody asks"),
        (machine(7), False, "nobody asks"), (asked(**NEXT), False, "another new key"),
    ],
)  # fmt: skip
def test_a_key_is_wanted_while_it_is_asked_for_and_no_other_waits(found: Machine, taken: bool, why: str | None) -> None:
    fault = rules.key_fault(found, OFFER, taken=taken)
    assert fault is None if why is None else why in str(fault)


def test_an_offered_key_is_valid_beside_the_present_one() -> None:
    patch, event = made(rules.offered_key(machine(7).row, OFFER, NOW))
    assert patch.values == {**NEXT, "updated_at": NOW}
    assert (patch.where, patch.must) == ((("next_api_key", "=", None),), "next_api_key")
    assert (event.code, event.actor, event.after) == (
        "machine.key_offered", "machine:7", {"api_key_prefix": "rvmk_BBBBBBBB"}
    )  # fmt: skip
    assert "1" * 64 not in str(event)
    assert not rules.is_renewal(patch)


def test_its_first_use_ends_the_one_before_and_nothing_else() -> None:
    row = machine(7, **NEXT, board={"serial": "1"}).row
    patch, event = made(rules.renewed_key(row, NOW))
    assert (patch.values["api_key"], patch.values["api_key_prefix"]) == ("1" * 64, "rvmk_BBBBBBBB")
    assert {patch.values[name] for name in NEXT} == {None}
    assert "board" not in patch.values
    assert rules.is_renewal(patch)
    assert (event.before, event.after) == (
        {"api_key_prefix": row.api_key_prefix}, {"api_key_prefix": "rvmk_BBBBBBBB"}
    )  # fmt: skip
    replaced = rules.replaced_key(7, "rvmk_CCCCCCCC", "2" * 64, NOW)
    assert not rules.is_renewal(replaced)
    assert {replaced.values[name] for name in NEXT} == {None}


def test_a_renewal_that_is_given_up_leaves_the_present_key() -> None:
    patch, event = made(rules.withdrawn_key(machine(7, **NEXT).row, "user:1", NOW))
    assert patch.values == {**dict.fromkeys(NEXT), "updated_at": NOW}
    assert (patch.where, patch.must) == ((("next_api_key", "=", "1" * 64),), "next_api_key")
    assert (event.code, event.actor, event.before) == (
        "machine.key_withdrawn", "user:1", {"api_key_prefix": "rvmk_BBBBBBBB"}
    )  # fmt: skip


def test_the_key_is_shown_by_its_beginning_and_a_renewal_with_its_command() -> None:
    plain = rules.key_view(machine(7))
    assert plain == {"id": 7, "device_id": "orin-7", "api_key_prefix": "rvmk_00000007", "renewal": None}
    since = "2026-11-23T09:00:00.000Z"
    assert rules.key_view(asked())["renewal"] == {"prefix": None, "since": since, "command": "c1"}
    for found, command in ((machine(7, **NEXT), None), (asked(**NEXT), "c1")):
        shown = rules.key_view(found)["renewal"]
        assert shown == {"prefix": "rvmk_BBBBBBBB", "since": since, "command": command}
