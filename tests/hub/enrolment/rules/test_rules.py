"""What a one-time code lets in, and what becomes of a machine that came with one; the code is in no Change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.records import MachineRow
from hub.enrolment import rules
from hub.model.changes import Change, EventHappened, Patch, patches, put_rows
from protocol.enrolment import EnrolmentRequest, fingerprint
from tests.support.machines import NOW, machine

HOUR = timedelta(hours=1)


def code(**members: Any) -> EnrolmentCodeRow:
    values: dict[str, Any] = {
        "id": 3, "hash": "c" * 64, "prefix": "RVM-7K…", "uses": 1, "approval": "waiting", "created_by": "user:1",
        "created_at": NOW, "expires_at": NOW + HOUR,
    }  # fmt: skip
    return EnrolmentCodeRow(**{**values, **members})


def asked(**members: Any) -> EnrolmentRequest:
    return EnrolmentRequest(**{"key_prefix": "rvmk_AAAAAAAA", "key_hash": "a" * 64, "hostname": "jetson"} | members)


def enrolment(**members: Any) -> EnrolmentRow:
    values: dict[str, Any] = {
        "id": 5, "code_id": 3, "state": "waiting", "key_prefix": "rvmk_AAAAAAAA", "key_hash": "a" * 64,
        "hostname": "jetson", "created_at": NOW, "last_seen_at": NOW,
    }  # fmt: skip
    return EnrolmentRow(**{**values, **members})


def event(changes: list[Change]) -> EventHappened:
    (found,) = (change for change in changes if isinstance(change, EventHappened))
    return found


def test_a_new_code_is_in_no_change() -> None:
    secret, made = rules.new_code(
        name="Toko", rvm_id=None, uses=20, approval="at_once", lifetime=HOUR, by="user:1", now=NOW
    )
    (row,) = put_rows(made, EnrolmentCodeRow)
    assert secret.text not in str(made)
    assert secret.text.startswith(secret.prefix.rstrip("…"))
    assert (row.hash, row.expires_at, row.uses, row.used) == (secret.hash, NOW + HOUR, 20, 0)
    assert event(made).code == "enrolment.code_made"


def test_a_code_lets_in_until_it_is_used_revoked_or_over() -> None:
    assert rules.code_fault(code(), NOW) is None
    assert rules.code_fault(None, NOW) == "unknown"
    assert rules.code_fault(code(revoked_at=NOW), NOW) == "revoked"
    assert rules.code_fault(code(used=1), NOW) == "used"
    assert rules.code_fault(code(), NOW + HOUR) == "expired"


def test_a_code_that_waits_spends_one_use_and_adds_no_machine() -> None:
    made = rules.request(asked(), code(uses=3, used=1), None, [], "10.0.0.7", NOW)
    (spent,) = patches(made, EnrolmentCodeRow)
    assert (spent.values, spent.must) == ({"used": 2}, "used")
    assert ("used", "=", 1) in spent.where
    (row,) = put_rows(made, EnrolmentRow)
    assert (row.state, row.ip_address, row.hostname, row.decided_by) == ("waiting", "10.0.0.7", "jetson", None)
    assert list(put_rows(made, MachineRow)) == []
    assert event(made).params["fingerprint"] == fingerprint("a" * 64)


def test_a_code_that_admits_at_once_makes_the_machine_with_the_hash_of_its_key() -> None:
    made = rules.request(asked(), code(approval="at_once"), None, [machine(name="jetson").row], "", NOW)
    (row,) = put_rows(made, MachineRow)
    assert (row.name, row.api_key, row.api_key_prefix) == ("jetson 2", "a" * 64, "rvmk_AAAAAAAA")
    (came,) = put_rows(made, EnrolmentRow)
    assert (came.state, came.decided_by, came.decided_at, came.ip_address) == ("approved", "user:1", NOW, None)
    assert (event(made).code, event(made).actor) == ("machine.enrolled", "enrolment")


def test_a_code_of_a_machine_replaces_its_key_and_keeps_the_machine() -> None:
    target = machine(7)
    made = rules.request(asked(), code(approval="at_once", rvm_id=7), target, [target.row], "", NOW)
    (key,) = patches(made, MachineRow)
    assert (key.key, key.values["api_key"], key.values["api_key_prefix"]) == (7, "a" * 64, "rvmk_AAAAAAAA")
    assert (event(made).rvm_id, event(made).before) == (7, {"api_key_prefix": "rvmk_00000007"})


def test_an_approval_takes_the_given_name_place_or_machine() -> None:
    made = rules.approve(enrolment(), None, "Kantin", "Lantai 1", [], "user:2", NOW)
    (row,) = put_rows(made, MachineRow)
    assert (row.name, row.location_description) == ("Kantin", "Lantai 1")
    (decided,) = patches(made, EnrolmentRow)
    assert (decided.values["state"], decided.must, decided.where) == ("approved", "state", (("state", "=", "waiting"),))
    swapped = rules.approve(enrolment(), machine(7), None, None, [], "user:2", NOW)
    (moved,) = patches(swapped, EnrolmentRow)
    assert moved.values["rvm_id"] == 7
    assert event(swapped).actor == "user:2"


def test_a_refusal_changes_no_machine() -> None:
    made = rules.reject(enrolment(), "user:2", NOW)
    assert [type(change) for change in made] == [Patch, EventHappened]
    assert event(made).code == "enrolment.rejected"


def test_a_machine_that_asks_every_few_seconds_is_not_written_as_often() -> None:
    row = enrolment(ip_address="10.0.0.7")
    assert rules.seen(row, "10.0.0.7", NOW + timedelta(seconds=5)) == []
    for address, at in (("10.0.0.8", NOW), ("10.0.0.7", NOW + rules.SEEN_EVERY), ("10.0.0.7", NOW - HOUR)):
        (change,) = rules.seen(row, address, at)
        assert isinstance(change, Patch)
        assert change.values == {"last_seen_at": at, "ip_address": address}


def test_a_revoked_code_names_itself_by_its_beginning_alone() -> None:
    made = rules.revoke_code(code(used=1, uses=4), "user:2", NOW)
    assert event(made).params == {"prefix": "RVM-7K…", "name": None, "used": 1}


@pytest.mark.parametrize(
    ("hostname", "taken", "name"),
    [("jetson", [], "jetson"), ("jetson", ["JETSON", "jetson 2"], "jetson 3"), (None, [], "RVM"), (" a  b ", [], "a b"),
     ("\u202eevil\u200b", [], "evil"), ("x" * 100, [], "x" * 90), ("日本", ["rvm"], "RVM 2")],
)  # fmt: skip
def test_a_name_is_plain_and_free(hostname: str | None, taken: list[str], name: str) -> None:
    assert rules.free_name(msgspec.structs.replace(enrolment(), hostname=hostname), taken) == name
