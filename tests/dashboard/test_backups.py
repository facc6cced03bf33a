"""Backups in words: what a machine's stand at, what a line of the history says, what may be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archive.errors import CODES
from dashboard import backups, restores
from dashboard.reader import Reader
from tests.dashboard.trouble_cases import NOW

BRIEFS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "fixtures/backups.json").read_text("utf-8"))[
    "briefs"
]
ZONE = "Asia/Makassar"
BACKUP: dict[str, Any] = {
    "id": 12, "rvm_id": 1, "backup_type": "full", "file_path": None, "file_size": None, "upload_status": "pending",
    "minio_path": None, "created_at": NOW - 95_000, "trigger": "manual", "requested_by": "user:2", "command_id": "c",
    "parent_id": None, "chain_id": None, "chain_position": None, "include_images": None, "include_logs": None,
    "compression": None, "encrypted": False, "sha256": None, "upload_id": None, "part_size": None, "started_at": None,
    "completed_at": None, "verified_at": None, "drill_at": None, "drill_error": None, "error": None, "files": None,
    "bytes_total": None, "entries": None, "deleted_entries": None, "report": None, "manifest_key": None,
    "expires_at": None, "deleted_at": None, "only_agent": False, "cancelled": False,
}  # fmt: skip
DONE = {"upload_status": "completed", "started_at": NOW - 95_000, "completed_at": NOW, "file_size": 2_140_000}
FREE = dict.fromkeys(backups.DOES, "")


FAILURES = {
    "damaged", "incomplete", "not_uploaded", "command_gone", "expired", "cancelled", "deadline", "no_sources", "quota",
    "disk", "disk_full", "too_large", "backup_ended", "backup_open", "backups_disabled", "parent_missing",
    "hub_refused", "interrupted", "internal", "busy", "too_slow", *CODES,
}  # fmt: skip
"""What a backup, a drill or a restore fails with: codes of the hub, the machine and the archive."""


def reader(language: str = "en") -> Reader:
    return Reader(language, "auto", "Asia/Jakarta", NOW)


def test_every_failure_of_a_backup_is_shown_in_the_readers_language() -> None:
    for language in ("en", "id"):
        assert {code for code in FAILURES if f"failure.{code}" not in reader(language).t} == set()


@pytest.mark.parametrize("case", BRIEFS, ids=lambda case: str(case["about"]))
def test_a_machines_backups_in_a_word(case: dict[str, Any]) -> None:
    for language in ("en", "id"):
        r = reader(language)
        found = backups.brief(r, case["backup"])
        assert (found.mark, found.words) == (case["mark"], r.t(f"backup.brief.{case['code']}"))
        assert backups.short(r, case["backup"]).replace("\u202f", " ") == case[language]


@pytest.mark.parametrize(
    ("members", "name", "mark", "why"),
    [
        ({}, "pending", "late", ""),
        ({"upload_status": "uploading"}, "uploading", "auto", ""),
        ({"upload_status": "failed", "error": {"code": "disk", "message": "m"}}, "failed", "error",
         "the machine cannot write to its disk"),
        ({"upload_status": "failed", "cancelled": True}, "cancelled", "inactive", "nothing of it is kept"),
        ({"upload_status": "failed", "error": {"code": "odd", "message": "no room"}}, "failed", "error", "no room"),
        ({"upload_status": "failed", "error": {"code": "disk_full", "message": "40000000 bytes are needed and 9000 are"
          " free"}}, "failed", "error",
         "there is not enough room on the machine's disk: 40\u202fMB are needed, 9.0\u202fkB are free"),
        (DONE, "untried", "inactive", ""),
        ({**DONE, "upload_status": "verified", "only_agent": True, "files": 0}, "verified", "warn",
         reader().t("backup.report.no_files")),
        ({**DONE, "upload_status": "verified", "only_agent": True, "report": {"counts": {"only_agent": 1}}},
         "verified", "warn", reader().t("backup.report.only_agent")),
        ({**DONE, "upload_status": "verified", "verified_at": NOW}, "verified", "active", ""),
        ({**DONE, "drill_error": {"code": "x", "message": "a file differs"}}, "broken", "error", "a file differs"),
        ({**DONE, "upload_status": "verified", "deleted_at": NOW}, "deleted", "inactive", ""),
    ],
)  # fmt: skip
def test_only_what_was_restored_and_compared_is_green(members: Any, name: str, mark: str, why: str) -> None:
    found = backups.state(reader(), BACKUP | members)
    assert (found.name, found.mark, found.why) == (name, mark, why)


def line(members: Any, kept: Any = None, language: str = "en") -> list[str]:
    found = backups.line(reader(language), BACKUP | members, by="Budi", zone=ZONE, kept=kept, offers=())
    said = [found.when, found.trigger, found.by, found.contents, found.chain, found.size, found.took, found.kept]
    return [words.replace("\u202f", " ") for words in said]


def test_a_line_of_the_history() -> None:
    assert line({}) == ["today 14:00 WITA", "By hand", "Budi", "Full", "", "", "", ""]
    part = {
        **DONE, "backup_type": "incremental", "chain_id": 9, "chain_position": 2, "include_images": True,
        "include_logs": False, "trigger": "schedule",
    }  # fmt: skip
    assert line(part, (NOW + 86_400_000 * 30, "")) == [
        "today 14:00 WITA", "Schedule", "Budi", "Incremental, with images, without logs",
        "no. 3 in the chain of backup 9", "2.1 MB", "1 min 35 s", "23 Dec 14:02 WITA",
    ]  # fmt: skip
    assert (
        line(part, (NOW + 86_400_000, "chain"), "id")[-1] == "besok 14.02 WITA: cadangan yang lebih baru memerlukannya"
    )
    assert line(part, (None, "last_good"))[-1] == "always: it is the last good one"
    assert line({**part, "deleted_at": NOW}, (NOW, ""))[-1] == ""


DAY = 86_400_000


@pytest.mark.parametrize(
    ("quota", "full_at", "english", "indonesian"),
    [
        (0, None, "no limit is set", "tidak ada batas"),
        (10**12, None, "not in the next 90 days", "tidak dalam 90 hari ke depan"),
        (10**12, NOW, "now: the hub takes no more", "sekarang: hub tidak menerima lagi"),
        (
            10**12,
            NOW + DAY,
            "in 1 day, on Tuesday, 24 Nov 2026, at this rate",
            "dalam 1 hari, Selasa, 24 Nov 2026,",
        ),
        (10**12, NOW + 19 * DAY, "in 19 days, on Saturday, 12 Dec 2026,", "dalam 19 hari, Sabtu, 12 Des 2026,"),
    ],
)
def test_how_far_the_room_reaches(quota: int, full_at: int | None, english: str, indonesian: str) -> None:
    for language, words in (("en", english), ("id", indonesian)):
        found = backups.space(reader(language), 4 * 10**11, quota, 3 * 10**10, full_at, is_near=full_at == NOW)
        assert found.full.startswith(words)
        assert found.mark == ("warn" if full_at == NOW else "")
        assert ("400" in found.taken, "1" in found.taken) == (True, quota > 0)


def locked(members: Any, may: Any = FREE, machine: str = "") -> list[str]:
    return [offer.locked for offer in backups.offers(BACKUP | members, may, machine)]


def test_what_may_be_done_and_if_not_why() -> None:
    assert locked(DONE) == ["", "", "", ""]
    assert locked({}) == ["unfinished"] * 4
    assert locked({"upload_status": "failed"}) == ["failed"] * 4
    assert locked({**DONE, "deleted_at": NOW}) == ["gone"] * 4
    assert locked(DONE, machine="offline") == ["offline", "", "", ""]
    assert locked(DONE, {**FREE, "delete": "admin"}, "offline") == ["offline", "", "", "role"]


@pytest.mark.parametrize("report", [None, 7, [], {"lines": 3}, {"lines": ["x"]}, {"counts": {"changed": "many"}}])
def test_a_report_is_not_trusted(report: Any) -> None:
    assert backups.report(reader(), BACKUP | {"report": report}) == ([], 0)


def test_a_report_names_what_could_not_be_read() -> None:
    told = {
        "lines": [{"path": "a.db", "code": "changed"}, {"path": "b", "code": "odd", "text": "Strange"}, {"code": 7}],
        "counts": {"changed": 1, "odd": 5},
    }
    found, more = backups.report(reader(), BACKUP | {"report": told})
    assert [tuple(each) for each in found] == [("a.db", "changed while it was read"), ("b", "Strange"), ("", "7")]
    assert more == 3


def test_a_folder_is_a_way() -> None:
    assert backups.folders("") == []
    assert backups.folders("data/2026/11/") == [("data", "data"), ("2026", "data/2026"), ("11", "data/2026/11")]


def test_a_preview_shows_ages_in_the_machines_zone() -> None:
    one = {
        "id": 1, "rvm_id": 1, "backup_id": 12, "dry_run": True, "state": "succeeded", "created_at": NOW, "reason": None,
        "result": {"classes": {}, "now_newest": "2026-11-23T10:00:00Z"}, "error": None, "classes": None, "paths": None,
        "safety_backup_id": None, "finished_at": NOW, "command_id": None, "requested_by": "user:2",
    }  # fmt: skip
    shown = restores.shown(reader(), one, by="Sari", zone=ZONE, job=None, place="")
    assert shown.ages.startswith("Newest on the machine now: 23 Nov 2026 18:00:00 WITA.")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_called_what_it_is_in_both_languages(kind: str) -> None:
    told = {"lines": [{"path": "app/x", "code": "special", "text": kind}, {"path": "app/y", "code": "special"}]}
    found, _ = backups.report(reader(), BACKUP | {"report": told})
    assert [line.what for line in found] == [f"not kept: a {kind}", reader().t("backup.report.special")]
    (indonesian, _), _ = backups.report(reader("id"), BACKUP | {"report": told})
    assert indonesian.what.startswith("tidak disimpan: sebuah ")


def test_a_restore_names_what_is_not_as_it_was() -> None:
    result = {
        "classes": {}, "foreign": ["old"], "unknown_owners": ["kiosk"], "set_id_removed": ["app/su"] * 20,
        "without_attributes": "nonsense",
    }  # fmt: skip
    one: dict[str, Any] = {
        "id": 1, "backup_id": 2, "dry_run": False, "state": "succeeded", "created_at": NOW, "reason": None,
        "result": result, "error": None, "classes": None, "paths": None, "safety_backup_id": None,
        "finished_at": NOW, "command_id": None, "requested_by": "user:2",
    }  # fmt: skip
    facts = {
        name: value for name, value, _ in restores.shown(reader(), one, by="", zone=ZONE, job=None, place="").facts
    }
    assert (facts["foreign"], facts["unknown_owners"]) == ("old", "kiosk")
    assert facts["set_id_removed"] == ", ".join(["app/su"] * 20) + " …"
    assert "without_attributes" not in facts
