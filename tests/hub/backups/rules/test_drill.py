"""What a drill makes true: verified only by a comparison; damage is everybody's who needs the damaged archive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from db.backup_records import BackupRow
from hub.backups.rules import drill as rules
from hub.backups.rules.drill import BROKEN, Damage, chain_of, damage_of, is_readable
from hub.model.changes import Change, EventHappened, Patch
from tests.support.database_rows import NOW, backup_row

SHA = "a" * 64


def row(number: int, parent: int | None = None, **members: Any) -> BackupRow:
    values = {"upload_status": "completed", "sha256": SHA, "bytes_total": 100, **members}
    return backup_row(
        7, number, parent_id=parent, backup_type="full" if parent is None else "incremental", **values
    )  # fmt: skip


def chain(*rows: BackupRow) -> dict[int, BackupRow]:
    return {one.id: one for one in rows}


CHAIN = [row(1), row(2, 1), row(3, 2)]


def done(**members: Any) -> dict[str, Any]:
    return {"event": "done", "sha256": [SHA] * 3, "rvm_id": 7, "backup_id": 3, "files": 5, "bytes": 9, **members}


def refused(code: str = "archive_damaged", **members: Any) -> dict[str, Any]:
    return {"event": "failed", "code": code, "detail": "its gzip ends early", "path": "", "archive": None, **members}


def values_of(changes: Sequence[Change]) -> dict[int, dict[str, Any]]:
    return {change.key: change.values for change in changes if isinstance(change, Patch)}


def events_of(changes: Sequence[Change]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(change.code, change.actor, change.params) for change in changes if isinstance(change, EventHappened)]


def test_a_chain_goes_from_the_full_to_the_backup_and_a_gap_is_none() -> None:
    there = chain(*CHAIN, row(4, 1))
    assert chain_of(CHAIN[2], there) == CHAIN
    assert chain_of(CHAIN[0], there) == CHAIN[:1]
    assert chain_of(there[4], there) == [CHAIN[0], there[4]]
    assert chain_of(CHAIN[2], chain(CHAIN[0], CHAIN[2])) is None
    assert chain_of(row(5, 6), chain(row(6))) is None, "nothing builds on what came later"
    alone = backup_row(7, 8, backup_type="incremental")
    assert chain_of(alone, chain(alone)) is None, "an incremental that builds on nothing"


def test_the_hub_unpacks_what_it_can_read_and_has_room_for() -> None:
    assert is_readable(CHAIN, 301)
    assert not is_readable(CHAIN, 300)
    assert not is_readable([row(1), row(2, 1, encrypted=True)], 10**9)
    assert is_readable([row(1, bytes_total=None)], 1), "of an unknown size: the child stops at the limit"


def test_a_comparison_that_holds_is_no_damage() -> None:
    assert damage_of(CHAIN, done()) is None
    assert damage_of([row(1, sha256=None), *CHAIN[1:]], done()) is None


def test_other_bytes_than_were_uploaded_are_damage_of_that_archive() -> None:
    found = damage_of(CHAIN, done(sha256=[SHA, "b" * 64, SHA]))
    assert found == Damage(1, "archive_damaged", "the store holds other bytes than were uploaded")


@pytest.mark.parametrize("other", [{"rvm_id": 8}, {"backup_id": 2}])
def test_an_archive_of_something_else_is_no_backup_of_this_machine(other: dict[str, Any]) -> None:
    found = damage_of(CHAIN, done(**other))
    assert found is not None
    assert (found.place, found.code) == (2, "wrong_chain")
    assert damage_of([row(3, trigger="upload")], done(sha256=[SHA], **other)) is None, "an upload has its own numbers"


def test_what_the_check_refused_is_damage_where_it_says() -> None:
    assert damage_of(CHAIN, refused(archive=1)) == Damage(1, "archive_damaged", "its gzip ends early")
    assert damage_of(CHAIN, refused(archive=7)) == Damage(2, "archive_damaged", "its gzip ends early")
    assert damage_of(CHAIN, refused(path="data/a", archive=None)) == Damage(
        2, "archive_damaged", "data/a: its gzip ends early"
    )


@pytest.mark.parametrize("code", ["disk_full", "write_failed", "interrupted", "wrong_key"])
def test_a_check_that_could_not_be_made_is_no_damage(code: str) -> None:
    assert damage_of(CHAIN, refused(code)) is None


def test_more_than_any_archive_may_be_is_damage() -> None:
    found = damage_of(CHAIN, refused("too_large"))
    assert found is not None
    assert found.code == "too_large"


def test_any_file_that_a_simple_client_sent_is_no_damage() -> None:
    assert damage_of([row(1, trigger="upload")], refused("unknown_format")) is None
    found = damage_of([row(1)], refused("unknown_format"))
    assert found is not None
    assert found.code == "unknown_format"


def test_verified_is_shown_with_what_was_compared() -> None:
    changes = rules.passed(CHAIN[2], "clock", NOW, "backups/7/3.manifest.gz", done())
    assert values_of(changes) == {
        3: {
            "upload_status": "verified", "verified_at": NOW, "drill_at": NOW, "drill_error": None,
            "manifest_key": "backups/7/3.manifest.gz",
        }
    }  # fmt: skip
    assert events_of(changes) == [("backup.verified", "clock", {"backup_id": 3, "files": 5, "bytes": 9})]


def test_whoever_needs_the_damaged_archive_is_good_no_more() -> None:
    stored = [*CHAIN, row(4, 3), row(5), row(6, 5)]
    changes = rules.failed(CHAIN, Damage(1, "archive_damaged", "x" * 900), "clock", NOW, stored)
    found = values_of(changes)
    assert list(found) == [2, 4, 3]
    assert {value["upload_status"] for value in found.values()} == {"completed"}
    assert found[3]["drill_error"] == {"code": "archive_damaged", "message": "x" * 500}
    ((code, _, params),) = events_of(changes)
    assert (code, params["backup_id"], params["damaged_id"]) == ("backup.drill_failed", 3, 2)
    assert list(values_of(rules.failed([CHAIN[2]], BROKEN, "clock", NOW))) == [3]


def test_a_machines_own_drill_ends_likewise() -> None:
    ok = rules.of_command(CHAIN[0], "succeeded", None, {"files": 3, "bytes": "many"}, NOW)
    assert events_of(ok) == [("backup.verified", "machine:7", {"backup_id": 1, "files": 3})]
    assert "manifest_key" not in values_of(ok)[1]
    assert values_of(rules.of_command(CHAIN[0], "succeeded", None, None, NOW))[1]["upload_status"] == "verified"
    bad = rules.of_command(CHAIN[0], "failed", {"code": "archive_damaged", "message": "cut"}, None, NOW)
    assert values_of(bad)[1]["drill_error"] == {"code": "archive_damaged", "message": "cut"}
    for state, error in (("expired", None), ("failed", {"code": "disk_full"})):
        assert values_of(rules.of_command(CHAIN[0], state, error, None, NOW)) == {1: {"drill_at": NOW}}


def test_who_asks_is_on_record_and_the_next_drill_is_its() -> None:
    changes = rules.asked(CHAIN[0], "user:2", NOW)
    assert values_of(changes) == {1: {"drill_at": None}}
    assert events_of(changes) == [("backup.verify_asked", "user:2", {"backup_id": 1})]


def test_one_a_week() -> None:
    assert not rules.is_week_over(NOW - timedelta(days=6), NOW)
    assert rules.is_week_over(NOW - timedelta(days=7), NOW)
    assert rules.is_week_over(NOW + timedelta(days=300), NOW), "by a clock that was ahead"
