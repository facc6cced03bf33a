"""Which texts travel with a page."""

from __future__ import annotations

import pytest

from dashboard.assets import words_of

TEXTS = {key: key.upper() for key in ("status.full", "status.error", "moved", "nav.jobs", "none.cpu", "statuses")}


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ('a("status.full")', ["status.full"]),
        ("a('moved',{count:1})", ["moved"]),
        ("a(b?`nav.jobs`:`moved`)", ["moved", "nav.jobs"]),
        ("a(`status.${b}`)", ["status.full", "status.error"]),
        ('a("none.",b)', ["none.cpu"]),
        ('a("status")', []),
        ("a(`n${b}`)", []),
        ("status.full", []),
    ],
)
def test_a_page_brings_the_words_its_script_names(script: str, wanted: list[str]) -> None:
    assert sorted(words_of(script, TEXTS)) == sorted(wanted)
