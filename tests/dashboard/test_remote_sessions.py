"""A lease in words, whatever it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashboard import remote_sessions
from dashboard.reader import Reader

NOW = 1795370531000
CASES = json.loads((Path(__file__).parent / "fixtures/formats.json").read_text("utf-8"))


def reader(language: str = "en") -> Reader:
    return Reader(language=language, theme="auto", zone="Asia/Jakarta", now=NOW)


def lease(**members: Any) -> dict[str, Any]:
    made = {
        "id": 4, "status": "active", "allow": ["terminal", "ports", "files"], "ports": [5000, 5001], "start_time": NOW,
        "expires_at": NOW + 1_800_000, "end_reason": None, "ended_by": None,
    }  # fmt: skip
    return made | members


@pytest.mark.parametrize(("ms", "words"), CASES["countdown"])
def test_what_is_left_counts_down(ms: float, words: str) -> None:
    assert remote_sessions.countdown(ms) == words


def test_a_remote_session_that_is_not_open_yet_shows_what_it_waits_for() -> None:
    assert remote_sessions.left(reader(), lease()) == "30:00"
    assert remote_sessions.left(reader(), lease(status="requested")) == "Waits for approval"
    assert remote_sessions.left(reader("id"), lease(status="starting")) == "Memulai…"
    assert remote_sessions.left(reader(), lease(status="something new")) == "something new"


def test_what_it_allows_is_one_line() -> None:
    assert remote_sessions.allowed(reader(), lease()) == "Terminal, page 5000, page 5001, files"
    assert remote_sessions.allowed(reader("id"), lease(allow=["files"])) == "Berkas"
    assert remote_sessions.allowed(reader(), lease(allow=[])) == "—"


@pytest.mark.parametrize(
    ("how", "by", "words"),
    [
        ("stopped", "user:3", "Ended by Budi"), ("timed_out", "clock", "Time was up"), ("odd", "machine:1", "Odd"),
        (None, None, "Ended"),
    ],
)  # fmt: skip
def test_how_it_ended(how: str | None, by: str | None, words: str) -> None:
    assert remote_sessions.ended(reader(), lease(status="ended", end_reason=how, ended_by=by), "Budi") == words


@pytest.mark.parametrize(
    ("form", "seconds"),
    [
        ({"minutes": "15"}, 900), ({"minutes": "other", "other": "45"}, 2700),
        ({"minutes": "other", "other": ""}, None), ({"minutes": "0"}, None), ({"minutes": "-5"}, None),
        ({"minutes": "1e3"}, None), ({"minutes": "٣"}, None),
        ({"minutes": "9" * 40}, None), ({}, None),
    ],
)  # fmt: skip
def test_the_form_says_minutes_or_nothing(form: dict[str, str], seconds: int | None) -> None:
    assert remote_sessions.seconds_asked(form) == seconds


def test_only_what_the_longest_session_holds_is_offered() -> None:
    assert remote_sessions.durations(3600) == [15, 30, 60]
    assert remote_sessions.durations(1799) == [15]
    assert remote_sessions.durations(60) == []
    assert remote_sessions.may_extend(lease(), 3600)
    assert not remote_sessions.may_extend(lease(), 1800)
    assert not remote_sessions.may_extend(lease(status="starting"), 3600)


@pytest.mark.parametrize(
    "told", [None, {}, {"remote": 5}, {"remote": {"download": "x"}}, {"remote": {"download": [1, "relative", {}]}}]
)
def test_a_machine_that_says_something_odd_declares_no_folder(told: Any) -> None:
    assert remote_sessions.declared(told) == {"download": [], "upload": []}


def test_declared_folders() -> None:
    told = {"remote": {"download": ["/var/log", "no"], "upload": ["/srv/in"] * 50}}
    assert remote_sessions.declared(told)["download"] == ["/var/log"]
    assert len(remote_sessions.declared(told)["upload"]) == 20
