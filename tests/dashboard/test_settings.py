"""The settings form, by the table that also holds the browser's half."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dashboard import refusals, settings
from dashboard.reader import Reader
from dashboard.texts import texts_in

ROOT = Path(__file__).parents[2]
TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "fixtures/settings.json").read_text("utf-8"))


@pytest.mark.parametrize(("value", "kind", "text"), TABLE["texts"])
def test_a_value_becomes_text_and_comes_back_the_same(value: Any, kind: str, text: str) -> None:
    assert settings.text_of(value, kind) == text
    back = settings.value_of(text, kind)
    assert back == value
    assert isinstance(back, bool) == isinstance(value, bool)


@pytest.mark.parametrize(("text", "kind", "value"), TABLE["typed"])
def test_what_was_typed_means_this_or_stays_for_the_hub_to_refuse(text: str, kind: str, value: Any) -> None:
    assert settings.value_of(text, kind) == value


@pytest.mark.parametrize(("text", "kind", "language", "why"), TABLE["no_numbers"])
def test_a_number_that_is_none_is_told_why(text: str, kind: str, language: str, why: str) -> None:
    found = settings.no_number(text, kind, language)
    assert ("" if found is None else texts_in(language)(found[0], **found[1])) == why


@pytest.mark.parametrize(("form", "wanted"), TABLE["forms"])
def test_a_form_changes_only_what_differs_from_what_was_shown(form: dict[str, str], wanted: dict[str, Any]) -> None:
    assert settings.requested(form, TABLE["kinds"]) == wanted


@pytest.mark.parametrize(("told", "english", "indonesian"), TABLE["refusals"])
def test_why_a_machine_does_not_take_a_setting_is_said_in_the_readers_language(
    told: str, english: str, indonesian: str
) -> None:
    for language, words in (("en", english), ("id", indonesian)):
        assert refusals.why(Reader(language, "auto", "Asia/Jakarta", 0), told) == words


def test_the_page_has_words_of_its_own_for_all_that_an_agent_answers() -> None:
    files = [ROOT / name for name in ("protocol/configuration.py", "device/settings/rules.py")]
    codes = {code for file in files for code in re.findall(r'WrongValueError\("(\w+)"', file.read_text("utf-8"))}
    assert {"environment", "static_key", "too_many", "wrong_zone"} <= codes
    for code in codes:
        assert texts_in("en")(f"refusal.{code}") != texts_in("id")(f"refusal.{code}")


def test_a_row_shows_what_was_typed_after_a_refusal_and_tells_what_changed_meanwhile() -> None:
    def row() -> settings.SettingRow:
        return settings.SettingRow("a", "number", "80", own=False, seen=settings.seen_of(False, "80"))

    typed = row()
    assert not typed.merge({"v.a": " 999", "o.a": "", "w.a": "080"})
    assert (typed.text, typed.own) == ("999", True), "typing into an inherited field makes it an own one"
    clash = row()
    assert clash.merge({"v.a": "999", "o.a": "own", "w.a": "175"})
    assert (clash.text, clash.seen) == ("999", "080"), "the next save is against what is now"
    untouched = row()
    assert not untouched.merge({"v.a": "75", "o.a": "own", "w.a": "175"})
    assert (untouched.text, untouched.own) == ("80", False)
    given_back = row()
    assert given_back.merge({"v.a": "75", "o.a": "", "w.a": "175"})
    assert not given_back.own
    assert not row().merge({"v.b": "1"})
