"""Words: every key that code uses is there, values are put in plainly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.model.credentials import password_fault
from hub.web.http import problems
from hub.web.http.problems import STATUS_OF, Text

HOUSE = Path(__file__).parents[4]
_KEYS = re.compile(r'\bText\(\s*"([a-z_.-]+)"|one_wrong\(\s*\w*"?\w+"?,\s*"([a-z_.]+)"|"expect": "([a-z_.]+)"')


def test_every_key_that_code_uses_is_there() -> None:
    known = problems.texts_in("en")
    found: set[str] = set()
    for file in (HOUSE / "hub" / "web").rglob("*.py"):
        for groups in _KEYS.findall(file.read_text()):
            found.update(filter(None, groups))
    missing = {key for key in found if key not in known}
    assert len(found) > 40
    assert not missing
    assert {f"title.{kind}" for kind in STATUS_OF} <= set(known)


_PARTS = ("expect.or", "expect.null")
"""Only ever inside another sentence, or made of whole ones."""
_VERBS = {
    "en": r"(must|is|has|does|belongs) ",
    "id": r"(harus|tidak|belum|bukan|ada|adalah|hampir|diberikan|melebihi|selama ini) ",
}


@pytest.mark.parametrize("language", ["en", "id"])
def test_what_a_member_should_be_is_a_sentence_with_a_verb(language: str) -> None:
    texts = problems.texts_in(language)
    told = {key: str(texts(key)) for key in texts if key.startswith(("expect.", "setting.")) and key not in _PARTS}
    assert len(told) > 50
    assert {key: text for key, text in told.items() if not re.match(_VERBS[language], text)} == {}


def test_every_reason_to_refuse_a_password_has_a_sentence() -> None:
    for password in ("x", "x" * 300, "password123", "abababababab", "someone@example.com"):
        fault = password_fault(password, "someone@example.com")
        assert fault is not None
        assert f"password.{fault}" in problems.texts_in("en")


def test_values_are_put_in_as_they_are() -> None:
    say = problems.translator("en")
    assert say(Text("method", {"allow": "{allow} {0} %s"})) == "Use one of: {allow} {0} %s."
    assert say(Text("expect.one_of", {"values": ["a", 1]})) == "must be one of: a, 1"
    assert (
        say(Text("invalid", {"field": "{why}", "why": Text("not_found")}))
        == "{why} There is nothing here that you may see.."
    )
    assert say(Text("too_often", {"count": 1})).endswith("in 1 second.")
    nested = Text("expect.or", {"one": Text("expect.truth"), "other": Text("expect.null")})
    assert say(nested) == "must be true or false, or null"
