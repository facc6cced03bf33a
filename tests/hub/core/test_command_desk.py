"""The life of a command: drafted once, moved forward only, settled exactly once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest

from hub.core import command_desk as desk
from hub.core import command_life as life
from hub.core.changes import Change, Command, CommandDrafted, CommandMoved, EventHappened, StatusChanged
from hub.core.fleet import Fleet
from hub.core.machine import Machine
from protocol import messages as m
from protocol.commands import SetStatus
from tests.support.machines import NOW, machine

UpdateState = Literal["accepted", "running", "succeeded", "failed", "rejected"]


def command(state: str = "queued", **members: Any) -> Command:
    values: dict[str, Any] = {
        "id": "c1",
        "rvm_id": 7,
        "name": "set_status",
        "args": {"status": "maintenance", "reason": "cleaning"},
        "issued_by": "user:1",
        "issued_at": NOW,
        "expires_at": NOW + timedelta(hours=24),
    }
    return Command(state=state, **{**values, **members})


def with_command(one: Machine, held: Command) -> Machine:
    one.pending[held.id] = held
    return one


def moved_to(changes: list[Change]) -> Command:
    first = changes[0]
    assert isinstance(first, CommandMoved)
    return first.command


def test_desired_state_waits_a_day_for_an_offline_machine() -> None:
    drafted, event = desk.draft_status(machine(), SetStatus(status="maintenance", reason="cleaning"), "user:1", NOW)
    assert isinstance(drafted, CommandDrafted)
    assert drafted.command.args == {"status": "maintenance", "reason": "cleaning"}
    assert drafted.command.state == "queued"
    assert drafted.command.expires_at == NOW + timedelta(hours=24)
    assert isinstance(event, EventHappened)
    assert (event.code, event.actor, event.params["command_id"]) == ("command.issued", "user:1", drafted.command.id)


def test_an_immediate_command_is_refused_offline_and_expires_after_a_minute_online() -> None:
    with pytest.raises(desk.Refused) as refused:
        desk.draft(machine(), "ping", {}, "user:1", NOW)
    assert (refused.value.code, refused.value.status) == ("machine_offline", 409)
    drafted = desk.draft(machine(linked=True), "ping", {}, "user:1", NOW)[0]
    assert isinstance(drafted, CommandDrafted)
    assert drafted.command.expires_at == NOW + timedelta(seconds=60)


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
    with pytest.raises(desk.Refused) as refused:
        desk.draft(machine(linked=True), name, args, "user:1", NOW)
    assert (refused.value.code, refused.value.status) == (code, 422)


def test_a_machine_that_is_away_for_long_cannot_be_buried() -> None:
    one = machine()
    for number in range(desk.MAX_PENDING):
        with_command(one, command(id=f"c{number}"))
    with pytest.raises(desk.Refused) as refused:
        desk.draft_status(one, SetStatus(status="active"), "user:1", NOW)
    assert refused.value.code == "too_many_pending"


@pytest.mark.parametrize(
    ("state", "said", "becomes"),
    [
        ("queued", "accepted", "accepted"), ("sent", "accepted", "accepted"), ("accepted", "running", "running"),
        ("sent", "running", "running"), ("sent", "succeeded", "succeeded"), ("queued", "rejected", "rejected"),
        ("running", "failed", "failed"), ("running", "accepted", None), ("accepted", "accepted", None),
        ("succeeded", "failed", None), ("expired", "succeeded", None),
    ],
)  # fmt: skip
def test_a_command_moves_forward_only_and_ends_once(state: str, said: UpdateState, becomes: str | None) -> None:
    fleet = Fleet([machine()])
    fleet.apply(CommandMoved(command=command(state)))
    changes = life.moved(fleet.machines[7], m.CommandUpdate(id="c1", state=said), NOW)
    assert (moved_to(changes).state if changes else None) == becomes


def test_success_of_set_status_declares_the_status_by_who_asked_for_it_once() -> None:
    fleet = Fleet([with_command(machine(capacity=40), command("sent"))])
    done = m.CommandUpdate(id="c1", state="succeeded")
    changes = life.moved(fleet.machines[7], done, NOW)
    kinds = [type(change) for change in changes]
    assert kinds == [CommandMoved, EventHappened, StatusChanged, EventHappened]
    declared = changes[2]
    assert isinstance(declared, StatusChanged)
    assert (declared.status, declared.by, declared.reason, declared.capacity) == (
        "maintenance",
        "user:1",
        "cleaning",
        40,
    )
    for change in changes:
        fleet.apply(change)
    assert fleet.machines[7].effective_status == "maintenance"
    assert fleet.machines[7].pending == {}
    assert life.moved(fleet.machines[7], done, NOW) == [], "settling twice yields nothing"


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_a_command_that_failed_changes_no_status_and_keeps_why(state: UpdateState) -> None:
    one = with_command(machine(), command("sent"))
    update = m.CommandUpdate(id="c1", state=state, error=m.Failure(code="busy", message="not now"))
    changes = life.moved(one, update, NOW)
    assert [type(change) for change in changes] == [CommandMoved, EventHappened]
    assert moved_to(changes).error == {"code": "busy", "message": "not now"}


def test_another_machine_settles_nothing() -> None:
    with_command(machine(7), command("sent"))
    assert life.moved(machine(8), m.CommandUpdate(id="c1", state="succeeded"), NOW) == []


def test_a_command_expires_at_its_deadline_and_not_before() -> None:
    open_one = command("sent", expires_at=NOW)
    assert life.expire(open_one, NOW - timedelta(seconds=1)) == []
    changes = life.expire(open_one, NOW)
    assert (moved_to(changes).state, moved_to(changes).finished_at) == ("expired", NOW)
    assert life.expire(msgspec.structs.replace(open_one, state="failed"), NOW) == []


def test_what_is_delivered_after_a_reconnect_is_everything_open_oldest_first_and_never_late() -> None:
    one = machine()
    with_command(one, command("sent", id="b", issued_at=NOW - timedelta(minutes=1)))
    with_command(one, command("queued", id="a"))
    with_command(one, command("queued", id="late", expires_at=NOW))
    assert [held.id for held in desk.to_deliver(one, NOW)] == ["b", "a"]


def test_progress_is_shown_and_a_repeat_of_it_says_nothing() -> None:
    one = with_command(machine(), command("running", progress={"phase": "copy", "done": 1.0}))
    more = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="copy", done=2.0))
    assert moved_to(life.moved(one, more, NOW)).progress == {"phase": "copy", "done": 2.0}
    same = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="copy", done=1.0))
    assert life.moved(one, same, NOW) == []


def test_ids_sort_by_time_and_are_never_the_same() -> None:
    ids = [desk.new_id(NOW + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(set(ids))
