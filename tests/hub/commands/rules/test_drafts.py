"""Commands drafted: what is asked at all, until when, why not, and what a newer request does to an older one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from db.records import CommandRow
from hub.commands import rules
from hub.model.changes import Change, EventHappened, Move, Put, moved_rows, put_rows
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.model.machine import Machine
from protocol.commands import SetStatus
from protocol.configuration import defaults
from tests.support.machines import NOW, machine


def command(state: str = "queued", **members: Any) -> CommandRow:
    values: dict[str, Any] = {
        "id": "c1",
        "rvm_id": 7,
        "name": "set_status",
        "args": {"status": "maintenance", "reason": "cleaning"},
        "issued_by": "user:1",
        "issued_at": NOW,
        "expires_at": NOW + timedelta(hours=24),
    }
    return CommandRow(state=state, **{**values, **members})


def with_command(one: Machine, held: CommandRow) -> Machine:
    one.pending[held.id] = held
    return one


def moved_to(changes: list[Change]) -> CommandRow:
    return next(moved_rows(changes[:1], CommandRow))


def test_desired_state_waits_a_day_for_an_offline_machine() -> None:
    drafted, event = rules.draft(
        machine(), "set_status", {"status": "maintenance", "reason": "cleaning"}, "user:1", NOW
    )
    assert isinstance(drafted, Put)
    assert drafted.row.args == {"status": "maintenance", "reason": "cleaning"}
    assert drafted.row.state == "queued"
    assert drafted.row.expires_at == NOW + timedelta(hours=24)
    assert isinstance(event, EventHappened)
    assert (event.code, event.actor, event.params["command_id"]) == ("command.issued", "user:1", drafted.row.id)


def test_an_immediate_command_is_refused_offline_and_expires_after_a_minute_online() -> None:
    with pytest.raises(rules.Refused) as refused:
        rules.draft(machine(), "ping", {}, "user:1", NOW)
    assert (refused.value.code, refused.value.status) == ("machine_offline", 409)
    drafted = rules.draft(machine(linked=True), "ping", {}, "user:1", NOW)[0]
    assert isinstance(drafted, Put)
    assert drafted.row.expires_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("explode", {}, "unknown_command"), ("set_status", {"status": "broken"}, "invalid"),
        ("set_status", {}, "invalid"),
        ("set_status", {"status": "active", "until": "tomorrow"}, "invalid"),
        ("set_status", {"status": "active", "until": "2026-11-24T09:00:00"}, "invalid"),
        ("set_status", {"status": "active", "capacity": 101}, "invalid"),
    ],
)  # fmt: skip
def test_what_the_machine_could_not_understand_is_never_drafted(name: str, args: dict[str, Any], code: str) -> None:
    with pytest.raises(rules.Refused) as refused:
        rules.draft(machine(linked=True), name, args, "user:1", NOW)
    assert (refused.value.code, refused.value.status) == (code, 422)


def test_a_machine_that_is_away_for_long_cannot_be_buried() -> None:
    one = machine()
    for number in range(rules.MAX_PENDING):
        with_command(one, command("sent", id=f"c{number}"))
    with pytest.raises(rules.Refused) as refused:
        rules.draft(one, "set_status", {"status": "active"}, "user:1", NOW)
    assert refused.value.code == "too_many_pending"


def test_what_is_delivered_after_a_reconnect_is_everything_open_oldest_first_and_never_late() -> None:
    one = machine()
    with_command(one, command("sent", id="b", issued_at=NOW - timedelta(minutes=1)))
    with_command(one, command("queued", id="a"))
    with_command(one, command("queued", id="late", expires_at=NOW))
    assert [held.id for held in rules.to_deliver(one, NOW)] == ["b", "a"]


def test_ids_sort_by_time_and_are_never_the_same() -> None:
    ids = [rules.new_id(NOW + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[0-9a-f]{11}-[0-9a-f]{16}", made) for made in ids)


def drafted_of(changes: list[Change]) -> CommandRow:
    return next(put_rows(changes[:1], CommandRow))


def issued_of(changes: list[Change]) -> EventHappened:
    event = changes[1]
    assert isinstance(event, EventHappened)
    return event


def test_whatever_a_machine_says_of_its_capabilities_it_is_given_the_chance_to_answer() -> None:
    known = machine(linked=True, agent_version="0.1.0", capabilities=("metrics",))
    assert drafted_of(rules.draft(known, "ping", {}, "user:1", NOW)).name == "ping"
    assert drafted_of(rules.draft(machine(), "sync_timezone", {"trigger": "manual"}, "user:1", NOW)).state == "queued"


def test_a_reboot_that_shall_wait_has_the_delay_before_its_deadline() -> None:
    asked = drafted_of(rules.draft(machine(linked=True), "reboot", {"delay": 300.0}, "user:1", NOW))
    assert asked.expires_at == NOW + timedelta(seconds=360)


@pytest.mark.parametrize("zone", ["Asia/../../etc", "; reboot", "asia/jakarta", "localtime"])
def test_a_zone_that_is_none_is_never_drafted(zone: str) -> None:
    with pytest.raises(rules.Refused) as refused:
        rules.draft(machine(), "sync_timezone", {"trigger": "manual", "timezone": zone}, "user:1", NOW)
    assert refused.value.code == "invalid"


def test_the_reason_and_the_group_are_kept_and_shown() -> None:
    changes = rules.draft(machine(linked=True), "ping", {}, "user:1", NOW, reason="is it there?", group_id="g1")
    assert (drafted_of(changes).reason, drafted_of(changes).group_id) == ("is it there?", "g1")
    assert (issued_of(changes).params["reason"], issued_of(changes).params["group_id"]) == ("is it there?", "g1")


def test_why_a_status_is_asked_for_is_why_the_machine_has_it() -> None:
    from_outside = drafted_of(rules.draft(machine(), "set_status", {"status": "full"}, "user:1", NOW, reason="seen"))
    from_inside = drafted_of(rules.draft(machine(), "set_status", {"status": "full", "reason": "seen"}, "user:1", NOW))
    assert (from_outside.args, from_outside.reason) == (from_inside.args, from_inside.reason)
    assert from_outside.args["reason"] == from_outside.reason == "seen"


def test_a_forced_reboot_is_named_in_the_record() -> None:
    forced = rules.draft(machine(linked=True), "reboot", {"force": True}, "user:1", NOW)
    patient = rules.draft(machine(linked=True), "reboot", {}, "user:1", NOW)
    assert issued_of(forced).params["forced"] is True
    assert "forced" not in issued_of(patient).params


def test_a_newer_request_for_the_status_takes_the_place_of_one_that_never_left() -> None:
    one = with_command(machine(), command("queued", group_id="ab12"))
    changes = rules.draft(one, "set_status", {"status": "active"}, "user:2", NOW)
    ended = next(moved_rows(changes, CommandRow))
    assert (ended.id, ended.state, (ended.error or {})["code"]) == ("c1", "cancelled", "superseded")
    finished = changes[-1]
    assert isinstance(finished, EventHappened)
    assert (finished.code, finished.actor, finished.params["error"]) == ("command.finished", "user:2", "superseded")
    assert finished.params["group_id"] == "ab12", "the Events page folds by it"


@pytest.mark.parametrize(
    "older",
    [
        command("sent"), command("accepted"), command("queued", name="ping", args={}),
        command("queued", args={"status": "maintenance", "capacity": 40}),
    ],
)  # fmt: skip
def test_a_command_that_left_or_asks_for_more_is_not_superseded(older: CommandRow) -> None:
    one = with_command(machine(), older)
    changes = rules.draft(one, "set_status", {"status": "active"}, "user:1", NOW)
    assert [type(change) for change in changes] == [Put, EventHappened]


@pytest.mark.parametrize(
    ("older", "newer", "ended"),
    [
        ({"trigger": "a"}, {"trigger": "b"}, 1),
        ({"trigger": "a"}, {"trigger": "b", "timezone": "Asia/Jakarta"}, 1),
        ({"trigger": "a", "timezone": "Asia/Makassar"}, {"trigger": "b", "timezone": "Asia/Jakarta"}, 1),
        ({"trigger": "a", "timezone": "Asia/Makassar"}, {"trigger": "b"}, 0),
    ],
)
def test_a_newer_request_for_the_zone_takes_the_place_of_what_it_covers(
    older: dict[str, str], newer: dict[str, str], ended: int
) -> None:
    for state, gone in (("queued", ended), ("sent", 0)):
        one = with_command(machine(), command(state, name="sync_timezone", args=older))
        changes = rules.draft(one, "sync_timezone", newer, "user:1", NOW)
        assert sum(isinstance(change, Move) for change in changes) == gone


def test_a_command_that_may_have_left_before_the_hub_was_killed_is_not_superseded() -> None:
    one = with_command(machine(maybe_sent={"c1"}), command("queued"))
    assert len(rules.draft(one, "set_status", {"status": "active"}, "user:1", NOW)) == 2


@pytest.mark.parametrize(("capabilities", "told"), [(("set_status",), ["set_status"]), (("metrics",), [])])
def test_a_declaration_past_the_agent_is_sent_to_one_that_takes_it(
    capabilities: tuple[str, ...], told: list[str]
) -> None:
    one = machine(capabilities=capabilities)
    changes = rules.relay_status(one, SetStatus(status="full"), "machine:7", NOW)
    assert [row.name for row in put_rows(changes, CommandRow)] == told


def test_a_machine_is_sent_no_more_than_ten_declarations_at_once_and_none_that_it_refuses() -> None:
    one = machine(capabilities=("set_status",))
    assert rules.relay_status(one, SetStatus(status="active", capacity=100), "machine:7", NOW) == []
    for number in range(rules.MAX_RELAYED):
        with_command(one, command("sent", id=f"t{number}", issued_by="machine:7"))
    assert rules.relay_status(one, SetStatus(status="full"), "machine:7", NOW) == []


def test_a_machine_that_is_still_full_is_not_declared_active() -> None:
    with pytest.raises(rules.Refused) as refused:
        rules.draft(machine(status="full", capacity=100), "set_status", {"status": "active"}, "user:1", NOW)
    assert (refused.value.code, refused.value.status) == ("still_full", 409)


def test_people_ask_for_no_zone_where_the_settings_do_not_let_them() -> None:
    one = machine()
    one.effective_settings = effective_of(defaults(), DesiredSettings({"manual_sync_enabled": False}, 1, NOW, "user:1"))
    with pytest.raises(rules.Refused) as refused:
        rules.draft(one, "sync_timezone", {"trigger": "manual"}, "user:1", NOW)
    assert refused.value.code == "manual_sync_off"


def test_a_command_goes_over_the_wire_with_its_times_as_text() -> None:
    sent = rules.wire(command(args={"status": "full"}))
    assert (sent.id, sent.name, sent.args) == ("c1", "set_status", {"status": "full"})
    assert (sent.issued_at, sent.expires_at) == ("2026-11-23T09:00:00.000Z", "2026-11-24T09:00:00.000Z")
