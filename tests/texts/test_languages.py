"""The one detector: a process's environment by POSIX, a browser's header by RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bootstrap
from texts.languages import LANGUAGES, LONGEST_HEADER, VARIABLES, from_accept_language, from_environment


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "id_ID.UTF-8"}, "id"),
        ({"LANG": "ID"}, "id"),
        ({"LANG": "id@latin"}, "id"),
        ({"LANG": "in_ID"}, "id"),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": "en_US"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "id_ID"}, "id"),
        ({"LC_MESSAGES": "id_ID", "LC_ALL": "C"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "de_DE"}, "en"),
        ({"LANG": "idu_NG"}, "en"),
        ({"LANG": "en_US", "RVM_LANG": "id"}, "id"),
        ({"LC_ALL": "id_ID", "RVM_LANG": "en"}, "en"),
        ({"LANG": "id_ID", "LC_ALL": "", "RVM_LANG": ""}, "id"),
        ({"LANG": "id_ID", "RVM_LANG": "../../etc"}, "en"),
    ],
)
def test_the_first_variable_that_is_set_decides(
    environ: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert from_environment(environ) == language
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert bootstrap.text("interrupted") == bootstrap.TEXTS[language]["interrupted"], "it speaks before texts can"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", None),
        ("id", "id"),
        ("id-ID,id;q=0.9,en;q=0.5", "id"),
        ("in-ID", "id"),
        ("ID-id", "id"),
        ("de, en;q=0.3, id;q=0.7", "id"),
        ("en-GB,en;q=0.9", "en"),
        ("en;q=0.5,id;q=0.5", "en"),
        ("id;q=0.5,en;q=0.5", "id"),
        ("id ; Q=0.8 , en ; q = 0.2", "id"),
        ("fr", None),
        ("*", "en"),
        ("fr, *;q=0.1", "en"),
        ("id;q=0, *", "en"),
        ("en;q=0, *;q=0.5", "id"),
        ("id;q=0.1, *;q=0.5", "en"),
        ("id;q=0", None),
        ("id;q=0.0, en;q=0.000", None),
        ("id;q=2, en;q=0.1", "en"),
        ("id;q=nan, en;q=0.1", "en"),
        ("id;q=-1", None),
        ("id;q=, en;q=0.1", "en"),
        ("id;level=1, en;q=0.1", "en"),
        (";;;,,,q=1,=", None),
        ("\0, id\0, en;q=0.1", "en"),
        ("idle", None),
        ("x" * 5000, None),
        ("en;q=0.1," + " " * LONGEST_HEADER + ",id", "en"),
        (("de," * 166) + "en;q=0.9", None),
    ],
)
def test_a_browser_gets_the_language_it_weighs_highest(header: str, language: str | None) -> None:
    assert from_accept_language(header) == language


@given(st.text() | st.text("enid*-;q=0.15, ", max_size=40))
def test_any_header_gives_a_language_of_ours_or_none(header: str) -> None:
    assert from_accept_language(header) in (*LANGUAGES, None)
