"""A backup's life as values: drafted with its command, uploaded, ended once, deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from db.backup_records import BACKUP_COUNTER, BackupPartRow, BackupRow
from db.records import CommandRow, CounterRow
from hub.backups.rules import life
from hub.backups.rules.life import Announced, Archive, Over, Room, Wanted
from hub.commands.rules import Refused
from hub.model.changes import Change, Drop, EventHappened, Move, Patch, Put, moved_rows, put_rows
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.model.machine import Machine
from protocol.configuration import defaults
from tests.support.machines import NOW, machine

LATER = NOW + timedelta(minutes=5)
FULL = Announced("full", "gzip", False)


def row(status: str = "uploading", **members: Any) -> BackupRow:
    values: dict[str, Any] = {"backup_type": "full", "created_at": NOW, "upload_id": "u1", "part_size": 10}
    return BackupRow(id=5, rvm_id=7, upload_status=status, **{**values, **members})


def with_settings(**values: Any) -> Machine:
    one = machine()
    one.effective_settings = effective_of(defaults(), DesiredSettings(values=values, version=1))
    return one


def command(state: str, **members: Any) -> CommandRow:
    values: dict[str, Any] = {"args": {"backup_id": 5}, "issued_by": "user:2", "issued_at": NOW, "expires_at": LATER}
    return CommandRow(id="c1", rvm_id=7, name="start_backup", state=state, **{**values, **members})


def moved(changes: list[Change]) -> BackupRow:
    (after,) = moved_rows(changes, BackupRow)
    return after


def event(changes: list[Change]) -> EventHappened:
    (found,) = [change for change in changes if isinstance(change, EventHappened)]
    return found


def part(number: int, size: int = 10) -> BackupPartRow:
    return BackupPartRow(backup_id=5, number=number, size=size, sha256="a" * 64, tag="t")


def test_a_backup_is_drafted_with_its_command() -> None:
    changes = life.drafted(machine(), 5, Wanted(), "user:2", NOW, "key-1")
    (made,), (asked,) = put_rows(changes, BackupRow), put_rows(changes, CommandRow)
    assert (made.id, made.upload_status, made.trigger, made.requested_by) == (5, "pending", "manual", "user:2")
    assert (made.command_id, asked.idempotency_key) == (asked.id, "key-1")
    assert asked.args == {"backup_id": 5, "backup_type": "incremental", "include_images": True, "include_logs": True}
    assert changes[:2] == life.numbered(5), "whoever comes second learns that the number is taken, before all else"
    assert list(put_rows(changes, CounterRow)) == [CounterRow(name=BACKUP_COUNTER, value=0)]
    assert event(changes).code == "command.issued"


def test_what_is_not_named_is_as_the_machines_settings_have_it() -> None:
    one = with_settings(include_images=False)
    (asked,) = put_rows(life.drafted(one, 5, Wanted("full", include_logs=False), "clock", NOW), CommandRow)
    assert (asked.args["include_images"], asked.args["include_logs"]) == (False, False)
    (asked,) = put_rows(life.drafted(one, 5, Wanted(include_images=True), "clock", NOW), CommandRow)
    assert asked.args["include_images"] is True


def test_one_is_made_at_a_time_and_none_where_the_settings_say_so() -> None:
    with pytest.raises(Refused, match="backup_enabled") as off:
        life.drafted(with_settings(backup_enabled=False), 5, Wanted(), "user:2", NOW)
    assert (off.value.code, off.value.status) == ("backups_disabled", 409)
    busy = machine()
    busy.backups = {4: row("pending")}
    with pytest.raises(Refused, match="open already") as twice:
        life.drafted(busy, 5, Wanted(), "user:2", NOW)
    assert (twice.value.code, twice.value.status) == ("backup_open", 409)


@pytest.mark.parametrize(
    ("announced", "ending"),
    [
        (FULL, ".tar.gz"),
        (Announced("full", "zstd", True), ".tar.zst.age"),
        (Announced("full", "none", False), ".tar"),
    ],
)
def test_a_key_says_what_the_file_is(announced: Announced, ending: str) -> None:
    assert life.key_of(row(), announced, "0123abcd") == f"backups/7/5-0123abcd{ending}"
    assert life.manifest_key_of(row()) == "backups/7/5.manifest.gz"


def test_an_upload_begins_and_its_chain_is_known() -> None:
    parent = replace(row("verified"), id=3, chain_id=2, chain_position=1)
    begun = life.begun(
        row("pending"), Announced("incremental", "gzip", False), parent, key="k", upload_id="u", part_size=8, now=LATER
    )
    after = moved(begun)
    assert (after.upload_status, after.backup_type, after.file_path, after.upload_id) == (
        "uploading", "incremental", "k", "u",
    )  # fmt: skip
    assert (after.parent_id, after.chain_id, after.chain_position, after.started_at) == (3, 2, 2, LATER)
    assert Drop(BackupPartRow, 5) in begun
    again = moved(life.begun(after, FULL, None, key="k2", upload_id="u2", part_size=8, now=LATER + timedelta(hours=1)))
    assert (again.parent_id, again.chain_id, again.chain_position, again.started_at) == (None, 5, 0, LATER)


def test_a_child_of_a_full_is_the_first_of_its_chain() -> None:
    assert life.in_chain(row(), replace(row("completed"), id=3)) == {
        "parent_id": 3, "chain_id": 3, "chain_position": 1,
    }  # fmt: skip


def test_an_upload_goes_on_for_the_same_kind_of_archive() -> None:
    started = row(compression="gzip", encrypted=False)
    assert life.goes_on(started, FULL)
    assert life.goes_on(started, Announced("incremental", "gzip", False))
    assert not life.goes_on(started, Announced("full", "zstd", False))
    assert not life.goes_on(row("pending", upload_id=None, compression="gzip"), FULL)


def test_only_news_of_what_was_announced_are_stored() -> None:
    known = row(chain_id=5, chain_position=0)
    assert life.announced_again(known, FULL, None) == []
    parent = replace(row("verified"), id=3)
    (change,) = life.announced_again(known, Announced("incremental", "gzip", False), parent)
    assert isinstance(change, Move)
    assert sorted(change.members) == ["backup_type", "chain_id", "chain_position", "parent_id"]


@pytest.mark.parametrize(
    ("members", "may"),
    [
        ({"id": 3}, True),
        ({"id": 3, "rvm_id": 8}, False),
        ({"id": 5}, False),
        ({"id": 3, "upload_status": "failed"}, False),
        ({"id": 3, "deleted_at": NOW}, False),
        ({"id": 3, "drill_error": {"code": "archive_damaged"}}, False),
    ],
)
def test_an_incremental_follows_a_good_backup_of_its_machine(members: dict[str, Any], may: bool) -> None:
    assert life.may_follow(row(), replace(row("completed"), **members)) is may
    assert not life.may_follow(row(), None)


@pytest.mark.parametrize(("sha256", "may"), [("", True), ("a" * 64, True), ("b" * 64, False)])
def test_an_incremental_follows_the_archive_that_it_means_whatever_its_number(sha256: str, may: bool) -> None:
    assert life.may_follow(row(), replace(row("completed"), id=3, sha256="a" * 64), sha256) is may


def test_a_part_counts_only_for_the_upload_it_was_sent_to() -> None:
    guard, put = life.part_stored(row(), part(2))
    assert isinstance(guard, Patch)
    assert (guard.values, guard.where, guard.must) == (
        {}, (("upload_status", "=", "uploading"), ("upload_id", "=", "u1")), "upload_status",
    )  # fmt: skip
    assert put == Put(part(2), over=("size", "sha256", "tag"))


def test_it_is_completed_with_what_the_store_holds() -> None:
    archive = Archive(25, "b" * 64, files=3, bytes_total=99, entries=4, deleted_entries=1, report={"changed": 1})
    changes = life.completed(row(), archive, LATER)
    after = moved(changes)
    assert (after.upload_status, after.file_size, after.sha256, after.files, after.upload_id, after.completed_at) == (
        "completed", 25, "b" * 64, 3, None, LATER,
    )  # fmt: skip
    assert (after.bytes_total, after.entries, after.deleted_entries, after.report) == (99, 4, 1, {"changed": 1})
    assert Drop(BackupPartRow, 5) in changes
    said = event(changes)
    assert (said.code, said.actor, said.params) == (
        "backup.completed", "machine:7", {"backup_id": 5, "backup_type": "full", "size": 25},
    )  # fmt: skip


def test_what_a_simple_client_sent_is_a_whole_backup_at_once() -> None:
    changes = life.received(machine(), 6, "full", Archive(9, "c" * 64), "backups/7/6-a.tar.gz", "user:2", NOW)
    (made,) = put_rows(changes, BackupRow)
    assert (made.upload_status, made.trigger, made.file_size, made.chain_id) == ("completed", "upload", 9, 6)
    assert event(changes).code == "backup.uploaded"


@pytest.mark.parametrize(
    ("ended", "code", "by"),
    [
        (command("failed", error={"code": "disk_full", "message": "3 MB"}), "disk_full", "machine:7"),
        (command("rejected", error={"code": "unsupported"}), "unsupported", "machine:7"),
        (command("rejected"), "rejected", "machine:7"),
        (command("expired", error={"code": "expired"}), "expired", "clock"),
        (command("cancelled", cancel_by="user:9"), "cancelled", "user:9"),
        (command("cancelled"), "cancelled", "clock"),
        (command("succeeded"), "not_uploaded", "machine:7"),
        (None, "command_gone", "clock"),
    ],
)
def test_an_open_backup_fails_with_its_command_and_once(ended: CommandRow | None, code: str, by: str) -> None:
    changes = life.settled(row(), ended, LATER)
    after, said = moved(changes), event(changes)
    assert (after.upload_status, after.upload_id, after.completed_at) == ("failed", None, LATER)
    assert after.error is not None
    assert after.error["code"] == code
    assert after.error.get("message") == (None if ended is None else (ended.error or {}).get("message"))
    assert (said.code, said.actor, said.params) == ("backup.failed", by, {"backup_id": 5, "code": code})
    assert Drop(BackupPartRow, 5) in changes
    assert life.settled(after, ended, LATER) == []


@pytest.mark.parametrize("state", ["queued", "sent", "accepted", "running"])
def test_it_stays_open_while_its_command_does(state: str) -> None:
    assert life.settled(row(), command(state), LATER) == []


def test_what_is_whole_does_not_fail_with_its_command() -> None:
    assert life.settled(row("completed"), command("failed"), LATER) == []


def test_it_is_deleted_once_and_says_by_what() -> None:
    patch, said = life.deleted(row("verified", file_size=9), "clock", LATER, "retention")
    assert isinstance(patch, Patch)
    assert (patch.values["deleted_at"], patch.where) == (LATER, (("rvm_id", "=", 7), ("deleted_at", "=", None)))
    assert isinstance(said, EventHappened)
    assert said.params == {"backup_id": 5, "size": 9, "why": "retention"}
    _, said = life.deleted(row("verified", file_size=9), "user:1", LATER)
    assert isinstance(said, EventHappened)
    assert (said.actor, said.params) == ("user:1", {"backup_id": 5, "size": 9})


def test_what_builds_on_it_needs_it() -> None:
    chain = [
        replace(row("verified"), id=number, chain_id=1, chain_position=place)
        for number, place in ((9, 3), (1, 0), (5, 1), (7, 2))
    ]
    gone, failed = replace(chain[0], id=11, deleted_at=NOW), replace(chain[0], id=12, upload_status="failed")
    under_way = replace(chain[0], id=13, upload_status="uploading", chain_position=4)
    everything = [*chain, gone, failed, under_way]
    assert [one.id for one in life.needing(chain[2], everything)] == [7, 9, 13]
    assert life.needing(under_way, everything) == []
    assert [one.id for one in life.needing(replace(chain[1], chain_position=None), everything)] == [5, 7, 9, 13]


def test_taking_one_away_is_an_event() -> None:
    said = life.downloaded(row("verified", file_size=9), "user:1", LATER)
    assert (said.code, said.params) == ("backup.downloaded", {"backup_id": 5, "size": 9})


@pytest.mark.parametrize(
    ("parts", "wanted", "size", "wrong"),
    [
        ([part(1), part(2), part(3, 4)], 3, 24, None),
        ([part(1)], 1, 10, None),
        ([part(1, 3)], 1, 3, None),
        ([part(1), part(2), part(3), part(4)], 2, 20, None),
        ([part(1), part(3)], 3, 20, "missing"),
        ([part(1)], 2, 20, "missing"),
        ([part(1, 9), part(2)], 2, 19, "size"),
        ([part(1), part(2)], 2, 19, "size"),
    ],
)
def test_parts_are_whole_or_the_fault_is_named(
    parts: list[BackupPartRow], wanted: int, size: int, wrong: str | None
) -> None:
    assert life.gap_in(parts, wanted, size, 10) == wrong


@pytest.mark.parametrize(
    ("room", "size", "expected"),
    [
        (Room(100, 0, 0, 10**9, 10**9), 100, None),
        (Room(100, 0, 0, 0, 0), 101, Over("too_large", 100)),
        (Room(100, 150, 0, 60, 0), 90, None),
        (Room(100, 150, 0, 60, 0), 91, Over("quota", 90)),
        (Room(100, 150, 200, 0, 190), 11, Over("fleet_quota", 10)),
        (Room(100, 150, 200, 0, 300), 1, Over("fleet_quota", 0)),
    ],
)
def test_limits_say_how_much_would_be_taken(room: Room, size: int, expected: Over | None) -> None:
    assert life.over(room, size) == expected
