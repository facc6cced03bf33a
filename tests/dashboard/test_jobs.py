"""What a job's card says, what a machine may be asked, what a group's sum is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashboard import actions, bulk, job_list, jobs
from dashboard.reader import Reader
from hub.model.actors import row_id
from tests.dashboard.job_cases import ASKED, CASES, JOB, NOW, WHO, ZONE, Case, lines

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "fixtures/jobs.json").read_text("utf-8"))
RESULT = {
    "timezone": "Asia/Makassar", "applied": True, "detail": {"offset": 0.25, "tries": 3, "none": None},
    "restart": ["a.service", "b.service"],
}  # fmt: skip
READ = {
    "en": ("Time zone: Asia/Makassar", "Applied: yes", "detail.offset: 0.25", "detail.tries: 3", "detail.none: —",
           "Services that need a restart: a.service, b.service"),
    "id": ("Zona waktu: Asia/Makassar", "Diterapkan: ya", "detail.offset: 0,25", "detail.tries: 3", "detail.none: —",
           "Layanan yang perlu dimulai ulang: a.service, b.service"),
}  # fmt: skip


def reader(language: str) -> Reader:
    return Reader(language, "auto", "Asia/Jakarta", NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.about))
def test_what_a_card_says(case: Case) -> None:
    job = JOB | case.job
    for language, said in (("en", case.en), ("id", case.id)):
        made = jobs.card(reader(language), job, who=WHO, away=case.away, zone=ZONE)
        assert lines(made) == said
        assert (made.id, made.state, made.asked) == (job["id"], job["state"], ASKED[language])


@pytest.mark.parametrize("language", ["en", "id"])
def test_a_result_is_read_by_people(language: str) -> None:
    assert tuple(f"{name}: {value}" for name, value in jobs.result(reader(language), RESULT)) == READ[language]
    assert jobs.result(reader(language), None) == []


@pytest.mark.parametrize("case", TABLE["offers"], ids=lambda case: str(case["about"]))
def test_what_a_machine_may_be_asked_now(case: dict[str, Any]) -> None:
    assert [offer._asdict() for offer in actions.offers(case["machine"], may=case["may"])] == case["offers"]


@pytest.mark.parametrize(
    ("hardware", "found"),
    [(None, []), ({"services": ["a.service", 7, ""]}, ["a.service"]), ({"services": "a"}, []), ({"services": {}}, [])],
)
def test_services_are_what_the_machine_says_and_nothing_else(hardware: Any, found: list[str]) -> None:
    assert actions.services({"hardware": hardware}) == found


def test_an_address_of_jobs_keeps_what_it_asks_for() -> None:
    asked = {"state": "failed", "name": "reboot", "q": " bandung ", "rvm": "7", "before": "x"}
    query = job_list.query_from(asked, row_id)
    assert query.address() == "/jobs?state=failed&name=reboot&q=bandung&rvm=7"
    assert query.address(before="y", rvm=None) == "/jobs?state=failed&name=reboot&q=bandung&before=y"
    assert (query.wants_open, query.ended_states) == (False, ("failed",))
    wild = job_list.query_from({"state": "'", "name": "rm", "rvm": "\u0661", "group": "a\x00b"}, row_id)
    assert (wild.address(), wild.wants_open, wild.ended_states) == ("/jobs?group=ab", True, jobs.ENDED)
    assert job_list.query_from({"state": "open"}, row_id).ended_states == ()


def test_a_group_is_summed_up_in_words() -> None:
    counts = {"succeeded": 38, "queued": 3, "failed": 1}
    said = job_list.tally(reader("en"), counts, 3, job_list.JobQuery(group="g"))
    assert [words for words, _ in said] == ["38 of 42 done", "3 offline (queued)", "1 failed"]
    assert [address for _, address in said] == ["", "/jobs?state=open&group=g", "/jobs?state=failed&group=g"]
    moving = {"queued": 2, "sent": 1, "running": 2, "cancelled": 1}
    said = job_list.tally(reader("id"), moving, 0, job_list.JobQuery(group="g"))
    assert [words for words, _ in said] == ["0 dari 6 selesai", "3 sedang berjalan", "2 antre", "1 dibatalkan"]


def test_a_bulk_request_forecasts_who_waits_and_who_cannot() -> None:
    machines = [case["machine"] for case in TABLE["offers"]]
    assert bulk.forecast(bulk.BULK_ACTIONS["sync_timezone"], machines) == (5, 2, 1)
    assert bulk.forecast(bulk.BULK_ACTIONS["maintenance"], machines) == (6, 2, 0)


def test_maintenance_of_many_ends_so_long_after_it_was_asked_for() -> None:
    maintenance, hour, now = bulk.BULK_ACTIONS["maintenance"], 3_600_000, 1_800_000_000_000
    for choice, asked_at, ends in (
        ("4", str(now - 60_000), now - 60_000 + 4 * hour),
        ("1", str(now - 2 * hour), now + hour),
        ("1", str(now + 5), now + hour),
        ("24", "yesterday", now + 24 * hour),
        ("", str(now), None),
        ("3", str(now), None),
        ("tomorrow", str(now), None),
    ):
        assert bulk.ends_at(maintenance, choice, asked_at, now) == ends
    assert bulk.ends_at(bulk.BULK_ACTIONS["active"], "4", str(now), now) is None


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([], None),
        ([(0, 0), (2, 2e6), (4, 4e6)], None),
        ([(0, 0), (3, 3e6), (6, 6e6)], (1e6, True)),
        ([(0, 0), (1, 3e6), (3, 3e6), (6, 3e6)], (5e5, False)),
        ([(0, 0), (3, 1e6), (6, 6e6)], (1e6, False)),
        ([(0, 5e6), (3, 5e6), (6, 5e6)], None),
        ([(-60, 0), (0, 3e6), (3, 6e6), (6, 9e6)], (1e6, True)),
    ],
)
def test_a_throughput_is_shown_when_it_is_known_and_an_end_when_it_is_steady(points: Any, told: Any) -> None:
    assert jobs.throughput_of(points, 6.0) == told
    assert jobs.throughput_of(points, 60.0) is None, "nothing has moved for long"


@pytest.mark.parametrize(
    ("language", "told", "rate", "words"),
    [
        ("en", {"phase": "sending"}, None, "Sending"),
        ("en", {"phase": "sending", "done": 2.14e8}, None, "Sending: 214 MB"),
        ("en", {"phase": "sending", "done": 2.14e8, "total": 3.4e8}, None, "Sending: 214 MB of 340 MB"),
        ("en", {"phase": "sending", "done": 2.14e8, "total": 3.4e8}, (2.1e6, False),
         "Sending: 214 MB of 340 MB, 2.1 MB/s"),
        ("en", {"phase": "sending", "done": 2.14e8, "total": 3.4e8}, (2.1e6, True),
         "Sending: 214 MB of 340 MB, 2.1 MB/s, about 1 min left"),
        ("id", {"phase": "sending", "done": 2.14e8, "total": 3.4e8}, (2.1e6, True),
         "Mengirim: 214 MB dari 340 MB, 2,1 MB/dtk, sekitar 1 mnt lagi"),
        ("en", {"phase": "sending", "done": 3.4e8, "total": 3.4e8}, (2.1e6, True),
         "Sending: 340 MB of 340 MB, 2.1 MB/s"),
        ("en", {"phase": "scanning", "done": 1200, "total": 3400}, (100.0, True),
         "Looking at the files: 1,200 of 3,400"),
        ("en", {"phase": "unheard_of", "done": 1}, (1.0, True), "unheard_of: 1"),
    ],
)  # fmt: skip
def test_progress_in_bytes_says_how_fast_and_how_long_still(language: str, told: Any, rate: Any, words: str) -> None:
    found = jobs.progress(reader(language), told, None if rate is None else jobs.Throughput(*rate))
    assert found.replace("\u202f", " ") == words


@pytest.mark.parametrize("language", ["en", "id"])
def test_backups_have_words_of_their_own(language: str) -> None:
    r = reader(language)
    for name in ("start_backup", "restore_backup", "verify_backup"):
        job = JOB | {"name": name, "args": {"backup_id": 12, "backup_type": "incremental"}, "sent_at": NOW}
        assert jobs.behind(r, job) != r.t("behind.other")
        assert name not in jobs.what(r, job)
        assert f"jobs.kind.{name}" in r.t
    told_of: list[tuple[dict[str, Any], str]] = [
        ({"made": "full"}, "became_full"), ({"result": {"backup_type": "full"}}, "became_full"), ({}, "incremental"),
    ]  # fmt: skip
    for told, kind in told_of:
        asked = JOB | {"name": "start_backup", "args": {"backup_type": "incremental"}} | told
        assert jobs.what(r, asked) == r.t(f"what.start_backup.{kind}")
    preview = JOB | {"name": "restore_backup", "args": {"backup_id": 12, "dry_run": True}}
    assert jobs.what(reader("en"), preview) == "Preview restoring backup 12"
