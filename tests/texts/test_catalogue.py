"""Sentences: filled in one pass, in the form of their count, by the table that also holds the page's half."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from texts.catalogue import Forms, Texts, read

HERE = Path(__file__).parent
SENTENCES: list[tuple[str, Forms, dict[str, object], str]] = json.loads(
    (HERE / "fixtures/sentences.json").read_text("utf-8")
)
HOSTILE = st.one_of(st.text(), st.sampled_from(["{why}", "{field}", "{", "}", "{{why}}", "%s", "\\1", "\0", "\u202e"]))


@pytest.mark.parametrize(("language", "forms", "values", "expected"), SENTENCES)
def test_the_table_that_both_halves_keep(language: str, forms: Forms, values: dict[str, object], expected: str) -> None:
    assert Texts(language, {"key": forms})("key", **values) == expected


@given(field=HOSTILE, why=HOSTILE)
def test_every_value_comes_out_as_it_was_given_and_once(field: str, why: str) -> None:
    texts = Texts("en", {"plain": "<{field}|{why}>", "many": {"one": "<{why}", "other": "<{field}|{why}>"}})
    assert texts("plain", field=field, why=why) == f"<{field}|{why}>"
    assert texts("many", field=field, why=why, count=2) == f"<{field}|{why}>"
    assert texts("many", field=field, why=why, count=1) == f"<{why}"


def test_an_unknown_key_is_a_bug() -> None:
    texts = Texts("en", {"known": "x"})
    assert "known" in texts
    assert "unknown" not in texts
    with pytest.raises(KeyError):
        texts("unknown")


def test_a_catalogue_is_read_from_a_file_of_its_language_once(tmp_path: Path) -> None:
    (tmp_path / "id.json").write_text('{"a": "jam {t}"}', "utf-8")
    texts = read(tmp_path, "id")
    assert (texts.language, texts("a", t=3), list(texts.items())) == ("id", "jam 3", [("a", "jam {t}")])
    assert read(tmp_path, "id") is texts
