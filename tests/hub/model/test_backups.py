"""What the hub remembers of a machine's backups, and how it looks in the machine's view."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from db.backup_records import BackupRow
from hub.model.backups import (
    brings_nothing_back,
    cancelled_at,
    drill_failed_at,
    failed_at,
    last_good,
    newest,
    open_backup,
    remembered,
)  # fmt: skip
from hub.model.changes import Patch, Put, move
from hub.model.fleet import BACKUP_MEMBERS, Fleet, Touched
from hub.model.views import epoch_ms, machine_view
from tests.support.machines import NOW, machine

FAILED = {"code": "damaged", "message": "another digest"}


def row(number: int, status: str, **members: Any) -> BackupRow:
    values: dict[str, Any] = {"backup_type": "full", "created_at": NOW + timedelta(hours=number)}
    return BackupRow(id=number, rvm_id=7, upload_status=status, **{**values, **members})


def test_of_many_the_open_ones_the_last_ended_and_the_last_good_one_are_remembered() -> None:
    rows = [
        row(1, "verified"),
        row(2, "completed"),
        row(3, "completed", drill_error=FAILED, drill_at=NOW),
        row(4, "completed", deleted_at=NOW),
        row(5, "failed"),
        row(6, "uploading"),
    ]
    known = remembered(rows)
    assert sorted(known) == [1, 2, 5, 6], "the verified one too"
    assert (newest(known), last_good(known), open_backup(known)) == (rows[5], rows[1], rows[5])
    assert failed_at(known) == rows[4].created_at
    assert drill_failed_at(known) is None


def test_what_a_simple_client_uploaded_is_good_only_when_it_is_verified() -> None:
    uploaded = row(2, "completed", trigger="upload")
    known = remembered([row(1, "completed"), uploaded])
    assert (last_good(known), newest(known)) == (row(1, "completed"), uploaded)
    verified = row(2, "verified", trigger="upload")
    assert last_good(remembered([row(1, "completed"), verified])) == verified


def test_a_machine_without_backups_has_none() -> None:
    assert (newest({}), last_good({}), open_backup({}), failed_at({}), drill_failed_at({})) == (None,) * 5
    assert cancelled_at({}) is None


def test_a_drill_that_failed_is_seen_until_a_better_backup_is_there() -> None:
    bad = row(3, "completed", drill_error=FAILED, drill_at=NOW)
    assert drill_failed_at(remembered([row(2, "verified"), bad])) == NOW
    assert drill_failed_at(remembered([bad, row(4, "verified")])) is None
    assert failed_at(remembered([bad])) is None


def test_what_a_person_cancelled_has_not_failed_and_hides_no_failure() -> None:
    cancelled = row(4, "failed", error={"code": "cancelled"}, completed_at=NOW)
    after_good = remembered([row(2, "verified"), cancelled])
    assert (failed_at(after_good), cancelled_at(after_good)) == (None, NOW)
    after_failure = remembered([row(2, "verified"), row(3, "failed", error={"code": "disk_full"}), cancelled])
    assert sorted(after_failure) == [2, 3, 4]
    assert failed_at(after_failure) == row(3, "failed").created_at
    later = remembered([*after_failure.values(), row(5, "verified")])
    assert (failed_at(later), cancelled_at(later)) == (None, None)


def test_one_that_brings_nothing_back_is_known_by_its_report() -> None:
    assert brings_nothing_back(row(1, "verified", report={"counts": {"only_agent": 1}}))
    assert brings_nothing_back(row(1, "verified", report={"counts": {"no_files": 2}}))
    assert brings_nothing_back(row(1, "verified", files=0)), "an agent that notes nothing of it"
    assert not brings_nothing_back(row(2, "verified", backup_type="incremental", files=0)), "nothing has changed"
    assert not brings_nothing_back(row(1, "verified", files=3, report={"counts": {"source_empty": 1}}))
    for report in (None, {}, {"counts": None}, {"counts": ["only_agent"]}, {"counts": {"vanished": 1}}):
        assert not brings_nothing_back(row(1, "verified", report=report))
    fleet = Fleet([machine(7)])
    fleet.apply(Put(row(1, "verified", report={"counts": {"only_agent": 1}}, completed_at=NOW, verified_at=NOW)))
    assert machine_view(fleet.machines[7])["backup"]["only_agent"] is True


def test_the_fleet_keeps_it_by_what_was_committed() -> None:
    fleet = Fleet([machine(7)])
    first = row(1, "pending")
    assert fleet.apply(Put(first)) == Touched(7, BACKUP_MEMBERS)
    asked = machine_view(fleet.machines[7])["backup"]
    assert (asked["open"], asked["open_status"], asked["open_type"]) == (True, "pending", "full")
    begun = move(first, upload_status="uploading")
    assert fleet.apply(begun) == Touched(7, BACKUP_MEMBERS)
    assert machine_view(fleet.machines[7])["backup"]["open_status"] == "uploading"
    done = move(first, upload_status="completed", completed_at=NOW)
    assert fleet.apply(done) == Touched(7, BACKUP_MEMBERS)
    mine = (("rvm_id", "=", 7),)
    verified = Patch(BackupRow, 1, {"upload_status": "verified", "verified_at": NOW}, where=mine)
    assert fleet.apply(verified) == Touched(7, BACKUP_MEMBERS)
    assert machine_view(fleet.machines[7], times="ms")["backup"] == {
        "good_at": epoch_ms(NOW), "verified_at": epoch_ms(NOW), "only_agent": False, "failed_at": None,
        "cancelled_at": None, "drill_failed_at": None, "late_at": None, "unverified_at": None, "full_at": None,
        "open": False, "open_status": None, "open_type": None,
    }  # fmt: skip


def test_what_concerns_no_known_backup_changes_nothing() -> None:
    fleet = Fleet([machine(7)])
    assert fleet.apply(Put(BackupRow(id=1, rvm_id=8, backup_type="full", created_at=NOW))) is None
    assert fleet.apply(Patch(BackupRow, 5, {}, where=(("rvm_id", "=", 7),))) is None
    assert fleet.apply(Patch(BackupRow, 5, {})) is None
