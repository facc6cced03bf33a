"""Which status a person may take back, and what holds then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.records import CommandRow, StatusRow
from hub.status import rules
from tests.support.machines import NOW, machine

HELD = StatusRow(rvm_id=7, status="active", special_status="error", capacity=40, since=NOW, by="machine:7", reason="x")
AFTER: dict[str, Any] = {"status": "maintenance", "status_by": "user:3", "status_reason": "belt"}


def command(**members: Any) -> CommandRow:
    made = CommandRow(
        id="c1", rvm_id=7, name="set_status", args={"status": "maintenance", "reason": "belt"}, state="succeeded",
        issued_by="user:3", issued_at=NOW, expires_at=NOW + timedelta(days=1),
    )  # fmt: skip
    return msgspec.structs.replace(made, **members)


def undone(
    asked: CommandRow, held: StatusRow | None = HELD, later: timedelta = timedelta(seconds=9), **row: Any
) -> Any:
    found = rules.undone(machine(7, **AFTER | row), asked, held, NOW + later)
    return None if found is None else msgspec.to_builtins(found)


def test_what_held_before_comes_back() -> None:
    assert undone(command()) == {"status": "active", "special_status": "error", "reason": "x"}
    assert undone(command(state="sent"), status="active", status_by="system", status_reason=None) is not None


def test_an_end_that_is_still_to_come_comes_back_with_it() -> None:
    soon = msgspec.structs.replace(HELD, until=NOW + timedelta(hours=1))
    assert undone(command(), soon)["until"] == "2026-11-23T10:00:00.000Z"
    assert "until" not in undone(command(), msgspec.structs.replace(HELD, until=NOW))


@pytest.mark.parametrize(
    "members",
    [{"name": "reboot"}, {"state": "failed"}, {"state": "cancelled"}, {"issued_by": "user:4"}],
)
def test_what_had_no_effect_or_is_no_status_is_not_undone(members: dict[str, Any]) -> None:
    assert undone(command(**members)) is None


def test_neither_too_late_nor_over_something_newer() -> None:
    assert undone(command(), later=rules.UNDO + timedelta(seconds=1)) is None
    assert undone(command(), status_reason="newer") is None
    assert undone(command(), None) is None


@pytest.mark.parametrize(
    ("members", "by", "later", "may"),
    [
        ({}, "user:3", 600, True),
        ({}, "user:3", 601, False),
        ({}, "user:4", 0, False),
        ({"name": "reboot"}, "user:3", 0, False),
    ],
)
def test_only_who_asked_for_a_status_takes_it_back_and_not_for_long(
    members: dict[str, Any], by: str, later: int, may: bool
) -> None:
    assert rules.may_be_undone(command(**members), by, NOW + timedelta(seconds=later)) is may
