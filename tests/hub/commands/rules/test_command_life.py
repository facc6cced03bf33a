"""The life of a command: moved forward only, settled exactly once, cancelled and expired without a lie."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest

from db.records import CommandRow, StatusRow
from hub.commands import rules
from hub.model.changes import OWN, Change, EventHappened, Move, Patch, Put, moved_rows, put_rows
from hub.model.fleet import TERMINAL, Fleet
from protocol import messages as m
from tests.hub.commands.rules.test_drafts import command, moved_to, with_command
from tests.support.machines import NOW, machine

UpdateState = Literal["accepted", "running", "succeeded", "failed", "rejected"]


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
    fleet.apply(Move(command(state), ("state",)))
    changes = rules.moved(fleet.machines[7], m.CommandUpdate(id="c1", state=said), NOW)
    assert (moved_to(changes).state if changes else None) == becomes


def test_success_of_set_status_declares_the_status_by_who_asked_for_it_once() -> None:
    fleet = Fleet([with_command(machine(capacity=40), command("sent"))])
    done = m.CommandUpdate(id="c1", state="succeeded")
    changes = rules.moved(fleet.machines[7], done, NOW)
    kinds = [type(change) for change in changes]
    assert kinds == [Move, EventHappened, Patch, Put, EventHappened]
    declared = next(put_rows(changes, StatusRow))
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
    assert rules.moved(fleet.machines[7], done, NOW) == [], "settling twice yields nothing"


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_a_command_that_failed_changes_no_status_and_keeps_why(state: UpdateState) -> None:
    one = with_command(machine(), command("sent"))
    update = m.CommandUpdate(id="c1", state=state, error=m.Failure(code="busy", message="not now"))
    changes = rules.moved(one, update, NOW)
    assert [type(change) for change in changes] == [Move, EventHappened]
    assert moved_to(changes).error == {"code": "busy", "message": "not now"}


def test_another_machine_settles_nothing() -> None:
    with_command(machine(7), command("sent"))
    assert rules.moved(machine(8), m.CommandUpdate(id="c1", state="succeeded"), NOW) == []


@pytest.mark.parametrize(
    ("held", "grace"),
    [(command("queued"), 0), (command("sent"), 4), (command("accepted"), 4), (command("running"), 4)],
)
def test_a_command_expires_at_its_deadline_and_what_left_when_no_answer_can_be_on_its_way(
    held: CommandRow, grace: int
) -> None:
    one = with_command(machine(), msgspec.structs.replace(held, expires_at=NOW))
    due = NOW + timedelta(seconds=grace)
    assert rules.expire(one, one.pending["c1"], due - timedelta(milliseconds=1)) == []
    changes = rules.expire(one, one.pending["c1"], due)
    assert (moved_to(changes).state, moved_to(changes).finished_at) == ("expired", due)
    assert rules.expire(one, msgspec.structs.replace(held, state="failed"), due) == []


def test_a_deadline_that_the_clock_moved_away_comes_nearer() -> None:
    """Issued by a clock that was two hours ahead: a reboot must not begin when the machine is back in an hour."""
    reboot: dict[str, Any] = {"name": "reboot", "args": {"delay": 30.0}}
    ahead = NOW + timedelta(hours=2, seconds=90)
    held = command("sent", **reboot, expires_at=ahead)
    one = with_command(machine(), held)
    assert rules.is_due(held, NOW)
    assert rules.expire(one, held, NOW) == []
    nearer = moved_to(rules.brought_nearer(held, NOW))
    assert (nearer.state, nearer.expires_at) == ("sent", NOW + timedelta(seconds=90))
    assert not rules.is_due(nearer, NOW)
    for fine in (
        command("queued", expires_at=NOW + timedelta(hours=24)),
        command("sent", **reboot, expires_at=NOW + timedelta(seconds=90)),
        command("running", name="start_backup", args={}, expires_at=ahead),
    ):
        assert not rules.is_due(fine, NOW)
        assert rules.brought_nearer(fine, NOW) == rules.expire(one, fine, NOW) == []


def test_what_expired_says_whether_it_ever_left() -> None:
    said = []
    for held in (command("queued"), command("sent"), command("running")):
        one = with_command(machine(), msgspec.structs.replace(held, expires_at=NOW))
        changes = rules.expire(one, one.pending["c1"], NOW + rules.GRACE)
        said.append(moved_to(changes).error)
        assert event_of(changes).params["error"] == "expired"
    away = {"code": "expired", "message": "it never left the hub: the machine was away", "by": "hub"}
    silent = {"code": "expired", "message": "the machine did not say in time what became of it", "by": "hub"}
    assert said == [away, silent, silent]


def test_what_a_machine_has_begun_counts_as_sent() -> None:
    one = with_command(machine(), command("queued"))
    begun = moved_to(rules.moved(one, m.CommandUpdate(id="c1", state="accepted"), NOW))
    assert begun.sent_at == NOW
    later = with_command(machine(), begun)
    going = m.CommandUpdate(id="c1", state="running")
    assert moved_to(rules.moved(later, going, NOW + timedelta(seconds=9))).sent_at == NOW


@pytest.mark.parametrize(
    ("state", "said", "late", "refused"),
    [
        ("queued", "accepted", False, False), ("queued", "accepted", True, True), ("sent", "running", True, True),
        ("running", "running", True, False), ("queued", "succeeded", True, False),
        ("cancelled", "accepted", False, True),
    ],
)  # fmt: skip
def test_nothing_is_begun_after_its_deadline(state: str, said: UpdateState, late: bool, refused: bool) -> None:
    asked = command(state, expires_at=NOW)
    now = NOW if late else NOW - timedelta(seconds=1)
    assert rules.begins_too_late(asked, m.CommandUpdate(id="c1", state=said), now) == refused


def test_progress_is_shown_and_a_repeat_of_it_says_nothing() -> None:
    one = with_command(machine(), command("running", progress={"phase": "copy", "done": 1.0}))
    more = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="copy", done=2.0))
    assert moved_to(rules.moved(one, more, NOW)).progress == {"phase": "copy", "done": 2.0}
    same = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="copy", done=1.0))
    assert rules.moved(one, same, NOW) == []


def test_a_machine_that_goes_down_to_reboot_has_time_to_come_back() -> None:
    asked = command("running", name="reboot", args={}, expires_at=NOW + rules.IMMEDIATE_LIFETIME)
    one = with_command(machine(), asked)
    waits = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="return_session"))
    assert moved_to(rules.moved(one, waits, NOW)).expires_at == one.pending["c1"].expires_at, "it has not begun"
    goes = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="rebooting"))
    later = one.pending["c1"].expires_at - timedelta(seconds=1)
    assert moved_to(rules.moved(one, goes, later)).expires_at == later + timedelta(minutes=5)


def test_a_machine_that_goes_down_for_ever_does_not_keep_its_command_open_for_ever() -> None:
    deadline = NOW + timedelta(seconds=30) + rules.IMMEDIATE_LIFETIME
    asked = command("running", name="reboot", args={"delay": 30.0}, expires_at=deadline)
    fleet = Fleet([with_command(machine(), asked)])
    one = fleet.machines[7]
    for minute in range(20):
        for phase, done in (("rebooting", minute), ("waiting", None), ("rebooting", None)):
            said = m.Progress(phase=phase, done=done)
            update = m.CommandUpdate(id="c1", state="running", progress=said)
            for change in rules.moved(one, update, NOW + timedelta(minutes=minute)):
                fleet.apply(change)
    assert one.pending["c1"].expires_at <= deadline + rules.REBOOT_LIFETIME


@pytest.mark.parametrize("name", sorted(rules.BACKUPS))
def test_a_backup_that_goes_on_moves_its_deadline_for_a_day_at_most(name: str) -> None:
    one = with_command(machine(), command("sent", name=name, sent_at=NOW, expires_at=NOW + timedelta(minutes=1)))

    def after(seconds: float, done: int | None = None) -> list[Change]:
        update = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="waiting", done=done))
        changes = rules.moved(one, update, NOW + timedelta(seconds=seconds))
        for change in changes:
            fleet.apply(change)
        return changes

    fleet = Fleet([one])
    assert moved_to(after(10)).expires_at == NOW + timedelta(seconds=10) + rules.BACKUP_SILENCE
    assert after(60) == [], "the same, and its deadline would hardly move"
    assert moved_to(after(80)).expires_at == NOW + timedelta(seconds=80) + rules.BACKUP_SILENCE
    for hour in range(1, 30):
        after(hour * 3600, hour)
    assert one.pending["c1"].expires_at == NOW + rules.BACKUP_LIFETIME


def test_a_backup_that_may_begin_until_tomorrow_has_that_long() -> None:
    tomorrow = NOW + rules.DESIRED_STATE_LIFETIME
    one = with_command(machine(), command("running", name="start_backup", expires_at=tomorrow))
    update = m.CommandUpdate(id="c1", state="running", progress=m.Progress(phase="scanning"))
    assert moved_to(rules.moved(one, update, NOW)).expires_at == tomorrow


@pytest.mark.parametrize("code", ["cancelled", "expired"])
def test_what_a_machine_refuses_as_withdrawn_or_late_has_that_end(code: str) -> None:
    one = with_command(machine(), command("sent"))
    update = m.CommandUpdate(id="c1", state="rejected", error=m.Failure(code=code, message="not done"))
    changes = rules.moved(one, update, NOW)
    assert moved_to(changes).state == code
    assert event_of(changes).params == {"command_id": "c1", "name": "set_status", "state": code, "error": code}


def event_of(changes: list[Change]) -> EventHappened:
    (event,) = [change for change in changes if isinstance(change, EventHappened)]
    return event


def test_what_never_left_is_cancelled_at_once_by_whom_it_was() -> None:
    one = with_command(machine(), command("queued"))
    changes = rules.cancel(one, one.pending["c1"], "user:2", NOW)
    after = moved_to(changes)
    assert (after.state, after.cancel_by, after.cancel_at, after.finished_at) == ("cancelled", "user:2", NOW, NOW)
    assert (event_of(changes).code, event_of(changes).actor) == ("command.finished", "user:2")


@pytest.mark.parametrize("held", [command("sent"), command("accepted"), command("running")])
def test_of_what_left_only_the_machine_can_say_that_it_was_stopped(held: CommandRow) -> None:
    fleet = Fleet([with_command(machine(), held)])
    one = fleet.machines[7]
    changes = rules.cancel(one, held, "user:2", NOW)
    assert isinstance(changes[0], Patch)
    assert event_of(changes).code == "command.cancel_asked"
    fleet.apply(changes[0])
    asked = one.pending["c1"]
    assert (asked.state, asked.cancel_by, asked.cancel_at) == (held.state, "user:2", NOW)
    assert fleet.open["c1"] is asked
    assert rules.cancel(one, asked, "user:3", NOW) == [], "asked once"
    done = rules.moved(one, m.CommandUpdate(id="c1", state="succeeded"), NOW)
    assert moved_to(done).state == "succeeded", "it was too late to stop it, and that is no lie"


def test_what_may_have_left_before_the_hub_was_killed_is_asked_of_the_machine() -> None:
    one = with_command(machine(maybe_sent={"c1"}), command("queued"))
    assert isinstance(rules.cancel(one, one.pending["c1"], "user:1", NOW)[0], Patch)


def test_to_ask_for_a_stop_does_not_turn_back_what_the_command_became_meanwhile() -> None:
    fleet = Fleet([with_command(machine(), command("sent"))])
    fleet.open["c1"] = fleet.machines[7].pending["c1"]
    asked = rules.cancel(fleet.machines[7], fleet.open["c1"], "user:1", NOW)[0]
    fleet.apply(rules.moved(fleet.machines[7], m.CommandUpdate(id="c1", state="running"), NOW)[0])
    fleet.apply(asked)
    assert (fleet.open["c1"].state, fleet.open["c1"].cancel_by) == ("running", "user:1")


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_what_has_ended_is_not_cancelled(state: str) -> None:
    assert rules.cancel(machine(), command(state), "user:1", NOW) == []


@pytest.mark.parametrize(
    ("ended", "said", "code", "told"),
    [
        ("expired", "succeeded", None, "succeeded"), ("cancelled", "failed", "io", "failed"),
        ("succeeded", "succeeded", None, None), ("expired", "rejected", "expired", None),
        ("cancelled", "rejected", "cancelled", None), ("expired", "rejected", "cancelled", "cancelled"),
        ("expired", "running", None, None),
    ],
)  # fmt: skip
def test_a_word_that_comes_too_late_is_a_line_in_the_record_once(
    ended: str, said: UpdateState, code: str | None, told: str | None
) -> None:
    error = None if code is None else m.Failure(code=code, message="why")
    update = m.CommandUpdate(id="c1", state=said, error=error)
    changes = rules.late(command(ended), update, NOW)
    if told is None:
        assert changes == []
        return
    event = event_of(changes)
    assert (event.code, event.actor, event.params["state"], event.params["was"]) == (
        "command.late", "machine:7", told, ended,
    )  # fmt: skip
    assert event.boot_id == f"{OWN}late c1", "what makes the same word said again one line"


def test_what_is_withdrawn_says_why() -> None:
    changes = rules.withdraw(command("queued"), NOW)
    assert (moved_to(changes).state, (moved_to(changes).error or {})["code"]) == ("cancelled", "not_allowed_any_more")
    assert event_of(changes).actor == "clock"


def test_a_command_is_sent_once() -> None:
    (change,) = rules.sent(command(), NOW)
    assert (moved_to([change]).state, moved_to([change]).sent_at) == ("sent", NOW)
    assert rules.sent(command("accepted"), NOW) == []


def test_a_reading_of_the_capacity_takes_the_place_of_readings_only() -> None:
    one = machine()
    with_command(one, command(id="request", args={"status": "active"}))
    with_command(one, command(id="reading", args={"status": "active"}, issued_by="machine:7"))
    newer = command(id="newer", args={"status": "active", "capacity": 60}, issued_by="machine:7")
    ended = rules.supersede(one, newer, NOW, reading=True)
    assert [row.id for row in moved_rows(ended, CommandRow)] == ["reading"]


def test_a_command_that_has_ended_is_not_withdrawn() -> None:
    assert rules.withdraw(command("succeeded"), NOW) == []
    assert moved_to(rules.withdraw(command(), NOW)).state == "cancelled"
