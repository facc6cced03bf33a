"""A restore's life as values: asked for, made safe, commanded, ended once."""

from __future__ import annotations

from typing import Any

import pytest

from db.backup_records import BackupRow, RestoreRow
from db.records import CommandRow
from hub.backups.rules import restore as rules
from hub.backups.rules.restore import RestoreAsked
from hub.model.changes import Change, EventHappened, Patch, put_rows
from hub.model.machine import Machine
from tests.support.machines import NOW, machine

ASKED = RestoreAsked(False, ("data",), ("app/a",), "because")
LOOK = RestoreAsked(True)


def online() -> Machine:
    one = machine()
    one.linked = True
    return one


def backup(number: int = 5, status: str = "completed", **members: Any) -> BackupRow:
    values: dict[str, Any] = {"backup_type": "full", "created_at": NOW}
    return BackupRow(id=number, rvm_id=7, upload_status=status, **{**values, **members})


def restore(state: str = "running", **members: Any) -> RestoreRow:
    values: dict[str, Any] = {"dry_run": False, "requested_by": "user:2", "created_at": NOW, "command_id": "c1"}
    return RestoreRow(id=3, backup_id=5, state=state, **{"rvm_id": 7, **values, **members})


def command(state: str, **members: Any) -> CommandRow:
    values: dict[str, Any] = {"args": {}, "issued_by": "user:2", "issued_at": NOW, "expires_at": NOW}
    return CommandRow(id="c1", rvm_id=7, name="restore_backup", state=state, **{**values, **members})


def patch(changes: list[Change]) -> dict[str, Any]:
    (found,) = [change for change in changes if isinstance(change, Patch)]
    assert found.of is RestoreRow
    return found.values


def codes(changes: list[Change]) -> list[str]:
    return [change.code for change in changes if isinstance(change, EventHappened)]


def test_what_may_begin() -> None:
    full, second = backup(5), backup(6, backup_type="incremental", parent_id=5)
    assert rules.why_not(online(), full, [full], []) is None
    assert rules.why_not(online(), second, [full, second], []) is None
    assert rules.why_not(online(), second, [second], []) == "chain_missing"
    assert rules.why_not(online(), backup(5, "failed"), [], []) == "no_archive"
    assert rules.why_not(online(), full, [full], [restore()]) == "restore_open"
    assert rules.why_not(online(), full, [full], [restore(rvm_id=8)]) is None


def test_it_is_commanded_with_what_was_asked() -> None:
    changes = rules.commanded(online(), backup(), ASKED, "user:2", NOW)
    (row,), (asked,) = put_rows(changes, RestoreRow), put_rows(changes, CommandRow)
    assert asked.args == {"backup_id": 5, "dry_run": False, "classes": ["data"], "paths": ["app/a"]}
    assert (asked.reason, row.command_id, row.state, row.classes) == ("because", asked.id, "running", ("data",))
    assert codes(changes) == ["command.issued", "backup.restore_asked"]
    look = rules.commanded(online(), backup(), LOOK, "user:2", NOW)
    assert next(put_rows(look, CommandRow)).args == {"backup_id": 5, "dry_run": True}
    assert codes(look) == ["command.issued"]


def test_it_waits_for_its_safety_backup() -> None:
    changes = rules.prepared(backup(), backup(6, "pending"), ASKED, "user:2", NOW)
    (row,) = put_rows(changes, RestoreRow)
    assert (row.state, row.safety_backup_id, row.command_id) == ("preparing", 6, None)
    assert codes(changes) == ["backup.restore_asked"]
    assert rules.after_safety(row, online(), backup(6, "uploading"), NOW) == []


def test_a_good_safety_backup_lets_it_begin() -> None:
    waiting = restore("preparing", command_id=None, classes=("logs",), reason="because")
    changes = rules.after_safety(waiting, online(), backup(6), NOW)
    asked = next(put_rows(changes, CommandRow))
    assert (asked.issued_by, asked.args["classes"], asked.reason) == ("user:2", ["logs"], "because")
    assert patch(changes) == {"state": "running", "command_id": asked.id}


@pytest.mark.parametrize(
    ("one", "safety", "code"),
    [
        (online(), None, "safety_failed"),
        (online(), backup(6, "failed", error={"code": "disk_full"}), "safety_failed"),
        (None, backup(6), "command_gone"),
        (machine(), backup(6), "machine_offline"),
    ],
)
def test_without_one_it_ends(one: Machine | None, safety: BackupRow | None, code: str) -> None:
    changes = rules.after_safety(restore("preparing"), one, safety, NOW)
    values = patch(changes)
    assert (values["state"], values["error"]["code"], values["finished_at"]) == ("failed", code, NOW)
    (event,) = [change for change in changes if isinstance(change, EventHappened)]
    assert (event.code, event.params["code"]) == ("backup.restore_failed", code)
    assert event.actor == ("clock" if code == "safety_failed" else "machine:7")


@pytest.mark.parametrize(
    ("ended", "state", "code"),
    [
        (command("failed", error={"code": "disk_full", "message": "x"}), "failed", "disk_full"),
        (command("rejected", error={"code": "no_sources", "message": "x"}), "failed", "no_sources"),
        (command("cancelled"), "cancelled", "cancelled"),
        (command("expired", error={"code": "expired", "message": "x"}), "failed", "expired"),
        (None, "failed", "command_gone"),
    ],
)
def test_it_ends_as_its_command(ended: CommandRow | None, state: str, code: str) -> None:
    values = patch(rules.after_command(restore(), ended, NOW))
    assert (values["state"], values["error"]["code"], values["result"]) == (state, code, None)


def test_it_goes_on_while_its_command_does() -> None:
    assert rules.after_command(restore(), command("running"), NOW) == []


def test_what_was_restored_is_an_event_and_a_look_is_none() -> None:
    result = {"classes": {"data": {}, "logs": {}}, "files": 3}
    changes = rules.after_command(restore(), command("succeeded", result=result), NOW)
    assert patch(changes)["result"] == result
    (event,) = [change for change in changes if isinstance(change, EventHappened)]
    assert event.params == {"restore_id": 3, "backup_id": 5, "files": 3, "classes": ["data", "logs"]}
    assert codes(rules.after_command(restore(), command("succeeded"), NOW)) == ["backup.restored"]
    assert codes(rules.after_command(restore(dry_run=True), command("succeeded", result=result), NOW)) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_it_is_seen_as_over_as_soon_as_its_command_is(dry_run: bool) -> None:
    row, done = restore(dry_run=dry_run), command("succeeded", result={"files": 3})
    seen = rules.as_its_command(row, done, NOW)
    assert (seen.state, seen.result, seen.finished_at) == ("succeeded", {"files": 3}, NOW)
    failed = rules.as_its_command(row, command("expired"), NOW)
    assert (failed.state, failed.error) == ("failed", {"code": "expired"})
    for other in (command("running"), None):
        assert rules.as_its_command(row, other, NOW) == row
    over = restore("succeeded", dry_run=dry_run)
    assert rules.as_its_command(over, command("failed"), NOW) is over, "what is stored stays"
