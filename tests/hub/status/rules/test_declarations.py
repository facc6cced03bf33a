"""Who may change a status and what then holds: tables over machines, their words, their keys and the clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from db.records import CommandRow, StatusRow
from hub.model import actors
from hub.model.changes import Change, EventHappened, Observed, put_rows
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.status import rules
from hub.status.rules import NamedStatus
from protocol.messages import StatusReport
from tests.support.machines import machine as plain_machine

NOW = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
LATER = NOW + timedelta(hours=4)
PLAIN: tuple[str, ...] = ("set_status",)
WHOLE: tuple[str, ...] = ("set_status", "until")


def machine(**members: Any) -> Machine:
    return plain_machine(1, status_since=NOW - timedelta(days=1), **members)


def held(capabilities: tuple[str, ...] = PLAIN, **args: Any) -> Machine:
    """A machine that was put into maintenance for four hours."""
    found = machine(capabilities=capabilities, capacity=40)
    wanted = {"status": "maintenance", "until": LATER.isoformat(), "reason": "belt", **args}
    command = CommandRow(
        id="c", rvm_id=1, name="set_status", args=wanted, state="succeeded", issued_by="user:3", issued_at=NOW,
        expires_at=LATER,
    )  # fmt: skip
    return after(found, rules.set_by_command(found, command, NOW))


def after(found: Machine, changes: list[Change]) -> Machine:
    fleet = Fleet([found])
    for change in changes:
        fleet.apply(change)
    return found


def heard(found: Machine, report: StatusReport, now: datetime = NOW) -> list[Change]:
    return rules.reported_by_machine(found, report, now, found.capabilities)


def event(changes: list[Change]) -> EventHappened:
    (found,) = [change for change in changes if isinstance(change, EventHappened)]
    return found


def test_a_status_for_a_while_remembers_what_was_before() -> None:
    found = held()
    assert found.row.status_before == {"status": "active", "special_status": None, "reason": None}
    assert (found.row.status_until, found.row.status_by, found.returns_to) == (LATER, "user:3", "active")


def test_the_hubs_clock_gives_back_for_a_machine_that_cannot() -> None:
    found = held()
    assert not rules.is_due(found, LATER - timedelta(seconds=1))
    assert rules.is_due(found, LATER)
    changes = rules.given_back(found, LATER)
    told = event(changes)
    assert (told.actor, told.params) == (actors.CLOCK, {"returned": True})
    after(found, changes)
    assert (found.row.status, found.row.status_until, found.row.status_before, found.row.status_reason) == (
        "active",
        None,
        None,
        None,
    )
    assert not rules.is_due(found, LATER)


def test_nobody_guesses_for_a_machine_that_gives_back_by_itself() -> None:
    found = held(WHOLE)
    assert not rules.is_due(found, LATER + timedelta(days=9))
    changes = heard(found, StatusReport(status="active", seq=1, capacity=40), LATER)
    assert event(changes).params == {"returned": True}
    assert event(changes).actor == "machine:1"


def test_a_report_long_before_the_time_is_no_return() -> None:
    found = held(WHOLE)
    assert event(heard(found, StatusReport(status="active", seq=1, capacity=40))).params == {}


def test_what_is_given_back_is_what_the_machine_may_be() -> None:
    found = held()
    found.row = msgspec.structs.replace(found.row, capacity=100)
    after(found, rules.given_back(found, LATER))
    assert found.row.status == "full"


@pytest.mark.parametrize("capabilities", [PLAIN, ()])
def test_a_plain_machine_cannot_name_an_until_and_keeps_what_was_set(capabilities: tuple[str, ...]) -> None:
    found = held()
    found.row = msgspec.structs.replace(found.row, capabilities=capabilities)
    after(found, heard(found, StatusReport(status="maintenance", seq=1, capacity=70)))
    assert (found.row.status_until, found.row.status_reason, found.row.capacity) == (LATER, "belt", 70)
    after(found, heard(found, StatusReport(status="full", seq=2)))
    assert (found.row.status, found.row.status_until, found.row.status_before) == ("full", None, None)


def test_a_whole_report_is_the_whole_truth() -> None:
    found = held(WHOLE)
    after(found, heard(found, StatusReport(status="maintenance", seq=1)))
    assert (found.row.status_until, found.row.status_reason) == (None, None)
    assert heard(found, StatusReport(status="maintenance", seq=2)) == []


def test_what_a_machine_became_under_a_special_status_is_what_it_gives_back() -> None:
    found = held(WHOLE, status="active", special_status="maintenance")
    report = StatusReport(status="full", seq=1, special_status="maintenance", until=LATER.isoformat(), capacity=100)
    after(found, heard(found, report))
    assert (found.effective_status, found.returns_to, found.row.status_until) == ("maintenance", "full", LATER)


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"])
def test_a_time_at_the_edge_of_the_calendar_is_none(edge: str) -> None:
    """It could be committed and never be shown, nor be read when the hub starts."""
    found = machine(capabilities=WHOLE)
    after(found, heard(found, StatusReport(status="maintenance", seq=1, until=edge)))
    assert (found.row.status, found.row.status_until) == ("maintenance", None)


def test_a_new_capacity_changes_neither_since_when_nor_who() -> None:
    found = held()
    since = found.row.status_since
    changes = heard(found, StatusReport(status="maintenance", seq=1, capacity=70), NOW + timedelta(hours=1))
    assert event(changes).actor == "machine:1"
    after(found, changes)
    assert (found.row.status_since, found.row.status_by) == (since, "user:3")
    (row,) = put_rows(changes, StatusRow)
    assert (row.since, row.by) == (NOW + timedelta(hours=1), "machine:1")


def test_a_return_session_is_no_new_status() -> None:
    found = machine()
    changes = heard(found, StatusReport(status="active", seq=1, busy=True))
    assert changes == [Observed(1, {"busy": True})]
    after(found, changes)
    assert found.busy
    assert heard(found, StatusReport(status="active", seq=2, busy=True)) == []
    assert heard(found, StatusReport(status="active", seq=3)) == [], "a plain client says nothing of it"


def test_the_machines_key_keeps_what_it_does_not_name() -> None:
    found = held(status="active", special_status="maintenance")
    after(found, rules.declared_by_key(found, NamedStatus(status="full", capacity=100), NOW))
    assert (found.row.status, found.effective_status, found.row.status_until) == ("full", "maintenance", LATER)
    assert found.returns_to == "full"
    after(found, rules.declared_by_key(found, NamedStatus(status="full", special_status=None), NOW))
    assert (found.effective_status, found.row.status_until, found.row.status_before) == ("full", None, None)


def inside(capabilities: tuple[str, ...] = WHOLE) -> Machine:
    """A machine under a special status that an operator gave a reason for."""
    return held(capabilities, status="active", special_status="maintenance", until=None, reason="Technician inside")


@pytest.mark.parametrize("by_link", [True, False])
@pytest.mark.parametrize("capabilities", [WHOLE, PLAIN])
def test_under_a_special_status_it_stays_who_asked_for_that_and_why(
    by_link: bool, capabilities: tuple[str, ...]
) -> None:
    found = inside(capabilities)
    since, later = found.row.status_since, NOW + timedelta(hours=1)
    reason = "Technician inside" if capabilities is WHOLE else None
    report = StatusReport(status="full", seq=1, capacity=98, special_status="maintenance", reason=reason)
    named = NamedStatus(status="full", capacity=98)
    changes = heard(found, report, later) if by_link else rules.declared_by_key(found, named, later)
    told = event(changes)
    assert (told.actor, told.params) == ("machine:1", {}), "it gave no reason itself"
    assert told.before is not None
    assert told.after == {**told.before, "status": "full", "capacity": 98}
    after(found, changes)
    assert (found.row.status, found.effective_status) == ("full", "maintenance")
    assert (found.row.status_by, found.row.status_reason, found.row.status_since) == (
        "user:3",
        "Technician inside",
        since,
    )
    ended = rules.declared_by_key(found, NamedStatus(status="full", special_status=None), later)
    after(found, ended)
    assert (found.row.status_by, found.row.status_reason, found.row.status_since) == ("machine:1", None, later)


def test_a_reason_the_machine_gives_under_a_special_status_is_its_own() -> None:
    found = inside()
    changes = rules.declared_by_key(found, NamedStatus(status="full", reason="bin 2"), NOW)
    assert event(changes).params == {"reason": "bin 2"}
    after(found, changes)
    assert (found.row.status_by, found.row.status_reason) == ("machine:1", "bin 2")


def test_the_audit_log_has_times_like_every_answer() -> None:
    found = machine(capabilities=WHOLE)
    told = event(rules.declared_by_key(found, NamedStatus(status="error", until=LATER), NOW))
    assert (told.before or {})["until"] is None
    assert (told.after or {})["until"] == "2026-11-23T14:00:00.000Z"


def test_what_the_key_declares_for_a_while_our_clock_ends_whatever_the_agent_can() -> None:
    found = machine(capabilities=WHOLE)
    after(found, rules.declared_by_key(found, NamedStatus(status="error", until=LATER), NOW))
    assert rules.is_due(found, LATER)
    assert found.returns_to == "active"
    after(found, rules.given_back(found, LATER))
    assert (found.row.status, found.row.status_until) == ("active", None)


def test_a_time_that_is_taken_away_ends_nothing() -> None:
    found = held()
    after(found, rules.declared_by_key(found, NamedStatus(status="maintenance", until=None), NOW))
    assert (found.row.status, found.row.status_until, found.row.status_before) == ("maintenance", None, None)


@pytest.mark.parametrize(
    ("known", "status", "named", "code"),
    [
        (100, "active", None, "still_full"), (100, "active", 20, None), (20, "active", 100, "still_full"),
        (0, "full", None, None), (0, "full", 0, "not_full"), (0, "full", 100, None), (100, "maintenance", None, None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_early(known: int, status: Any, named: int | None, code: str | None) -> None:
    failure = rules.refused(machine(capacity=known), status, named)
    assert (failure and failure.code) == code


def test_a_second_while_gives_back_what_was_before_the_first() -> None:
    found = held()
    command = CommandRow(
        id="c2", rvm_id=1, name="set_status",
        args={"status": "error", "until": (LATER + timedelta(hours=1)).isoformat()},
        state="succeeded", issued_by="user:4", issued_at=NOW, expires_at=LATER,
    )  # fmt: skip
    after(found, rules.set_by_command(found, command, NOW))
    assert (found.row.status, found.returns_to) == ("error", "active")


def test_an_agent_is_sent_nothing_when_nothing_was_declared() -> None:
    assert rules.for_the_agent(machine(), []) is None


def test_another_time_gives_back_what_the_machine_is_when_it_is_reported() -> None:
    found = after(machine(capabilities=WHOLE, status="full"), [])
    said = StatusReport(status="maintenance", until=LATER.isoformat(), seq=2)
    assert after(found, heard(found, said)).row.status_before == {
        "status": "full",
        "special_status": None,
        "reason": None,
    }


def test_a_special_status_alone_leaves_what_a_time_gives_back() -> None:
    found = held()
    after(found, rules.declared_by_key(found, NamedStatus(special_status="error"), NOW))
    assert (found.row.special_status, found.row.status_until) == ("error", LATER)
    assert found.row.status_before is not None
    assert (found.row.status_before["status"], found.row.status_before["special_status"]) == ("active", "error")


def test_an_error_goes_on_while_people_take_the_machine_out_of_service_and_ends_with_another_status() -> None:
    found, since = machine(capabilities=PLAIN), []
    for minutes, status in enumerate(["error", "maintenance", "inactive", "error", "full", "maintenance"]):
        at = NOW + timedelta(minutes=minutes)
        command = CommandRow(
            id=str(minutes), rvm_id=1, name="set_status", args={"status": status, "reason": "belt"}, state="succeeded",
            issued_by="user:3", issued_at=at, expires_at=LATER,
        )  # fmt: skip
        after(found, rules.set_by_command(found, command, at))
        since.append(found.row.error_since)
    assert since == [NOW, NOW, NOW, NOW, None, None]


def test_an_error_from_before_its_beginning_was_kept_began_with_its_status() -> None:
    found = machine(status="error")
    after(found, heard(found, StatusReport(seq=1, status="error", capacity=7)))
    assert found.row.error_since == found.row.status_since
