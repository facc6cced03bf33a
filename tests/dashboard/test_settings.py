"""The settings form: what a field shows, what was meant, and why it is not taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dashboard import refusals, settings
from dashboard.reader import Reader
from dashboard.texts import texts_in
from protocol import configuration

ROOT = Path(__file__).parents[2]
TEXTS: list[Any] = [
    (True, "switch", "on"),
    (False, "switch", "off"),
    (80.0, "number", "80"),
    (80.5, "number", "80.5"),
    (30, "whole", "30"),
    (1.125, "number", "1.1250"),
    (-12.345, "number", "-12.3450"),
    (0.125, "number", "0.125"),
    ("Asia/Jakarta", "zone", "Asia/Jakarta"),
    ("", "zone_or_none", ""),
    (["192.168.1.0/24", "10.0.0.0/8"], "networks", "192.168.1.0/24\n10.0.0.0/8"),
    (["a b", "7", 7, True, "true", '"x"', "two\nlines"], "list", 'a b\n"7"\n7\ntrue\n"true"\n"\\"x\\""\n"two\\nlines"'),
]
TYPED: list[Any] = [
    ("80,5", "number", 80.5),
    (" 300 ", "number", 300),
    ("80.5", "whole", 80.5),
    ("abc", "number", "abc"),
    ("", "number", ""),
    ("1e999", "number", "1e999"),
    ("maybe", "switch", "maybe"),
    (" Asia/Makassar ", "zone", "Asia/Makassar"),
    ("1.000", "number", "1.000"),
    ("1,000", "whole", "1,000"),
    ("12.500", "number", "12.500"),
    ("1.000.000", "number", "1.000.000"),
    ("1000", "whole", 1000),
    ("1.0", "number", 1),
    ("0,125", "number", 0.125),
    ("1.1250", "number", 1.125),
    ("1234.567", "number", 1234.567),
    ("+5", "number", 5),
    ("-.5", "number", -0.5),
    ("1e3", "number", 1000),
    ("0x10", "number", "0x10"),
    ("1_0", "number", "1_0"),
    ("١", "number", "١"),
    ("1 000", "number", "1 000"),
    ("Infinity", "number", "Infinity"),
    ("1,5,5", "number", "1,5,5"),
    ("10.0.0.0/8\r\n\r\n 7 ", "networks", ["10.0.0.0/8", "7"]),
    ("null\n{}", "list", ["null", "{}"]),
]
KINDS = {"a": "number", "b": "switch", "c": "text", "d": "number"}
FORMS: list[Any] = [
    ({"v.a": "80", "o.a": "", "w.a": "080"}, {}),
    ({"v.a": "75", "o.a": "", "w.a": "080"}, {"a": 75}),
    ({"v.a": "80", "o.a": "own", "w.a": "080"}, {"a": 80}),
    ({"v.a": "75", "o.a": "own", "w.a": "180"}, {"a": 75}),
    ({"v.a": "80", "o.a": "own", "w.a": "180"}, {}),
    ({"v.a": "75", "o.a": "", "w.a": "180"}, {"a": None}),
    (
        {"v.b": "off", "o.b": "own", "w.b": "1on", "v.c": "a\r\nb", "o.c": "own", "w.c": "1a\nb", "v.d": "7"},
        {"b": False},
    ),
    ({"v.x": "1", "w.x": "02"}, {}),
]
NO_NUMBERS: list[Any] = [
    ("1.000", "number", "en", "“1.000” could mean 1000 or 1.0: write it as one of these."),
    (" 1,000 ", "whole", "id", "“1,000” bisa berarti 1000 atau 1,0: tulislah salah satunya."),
    ("12.500", "number", "id", "“12.500” bisa berarti 12500 atau 12,5: tulislah salah satunya."),
    ("-1.125", "number", "en", "“-1.125” could mean -1125 or -1.1250: write it as one of these."),
    ("abc", "number", "en", "It must be a number."),
    ("", "whole", "id", "Harus angka."),
    ("1.000", "text", "en", ""),
    ("0,125", "number", "en", ""),
    ("1000", "whole", "en", ""),
]
REFUSALS: list[Any] = [
    (
        (
            "environment: cpu_threshold is set by the environment of the machine's agent (RVM_CPU_THRESHOLD), "
            "which comes first."
        ),
        "its agent's environment sets it, and that has precedence (RVM_CPU_THRESHOLD)",
        "sudah diatur lewat environment agen di mesin, yang didahulukan (RVM_CPU_THRESHOLD)",
    ),
    (
        "environment: set there",
        "its agent's environment sets it, and that has precedence",
        "sudah diatur lewat environment agen di mesin, yang didahulukan",
    ),
    (
        "out_of_bounds: cpu_threshold: write a number from -0.5 to 1e+20.",
        "it is outside what the machine allows (-0.5 … 1e+20)",
        "di luar batas yang diterima mesin (-0.5 … 1e+20)",
    ),
    (
        "too_many: x: there are 100 further settings already; remove one first.",
        "it already holds as many further settings as it can (100)",
        "jumlah pengaturan tambahan di mesin sudah penuh (100)",
    ),
    (
        "static_key: x is set on the machine itself only; no hub may change it.",
        "only the machine’s own file sets it",
        "hanya diatur di berkas mesin itu sendiri",
    ),
    ("a_newer_code: the belt is worn", "the belt is worn", "the belt is worn"),
    ("constructor: the belt is worn", "the belt is worn", "the belt is worn"),
    ("set by the environment", "set by the environment", "set by the environment"),
    ("environment:", "environment:", "environment:"),
    ("", "", ""),
]


@pytest.mark.parametrize(("value", "kind", "text"), TEXTS)
def test_a_value_becomes_text_and_comes_back_the_same(value: Any, kind: str, text: str) -> None:
    assert settings.text_of(value, kind) == text
    back = settings.value_of(text, kind)
    assert back == value
    assert isinstance(back, bool) == isinstance(value, bool)


@pytest.mark.parametrize(("text", "kind", "value"), TYPED)
def test_what_was_typed_means_this_or_stays_for_the_hub_to_refuse(text: str, kind: str, value: Any) -> None:
    assert settings.value_of(text, kind) == value


@pytest.mark.parametrize(("text", "kind", "language", "why"), NO_NUMBERS)
def test_a_number_that_is_none_is_refused_with_the_reason(text: str, kind: str, language: str, why: str) -> None:
    found = settings.no_number(text, kind, language)
    assert ("" if found is None else texts_in(language)(found[0], **found[1])) == why


@pytest.mark.parametrize(("form", "wanted"), FORMS)
def test_a_form_changes_only_what_differs_from_what_was_shown(form: dict[str, str], wanted: dict[str, Any]) -> None:
    assert settings.requested(form, KINDS) == wanted


@pytest.mark.parametrize(("told", "english", "indonesian"), REFUSALS)
def test_why_a_machine_refuses_a_setting_is_in_the_readers_language(told: str, english: str, indonesian: str) -> None:
    for language, words in (("en", english), ("id", indonesian)):
        assert refusals.why(Reader(language, "auto", "Asia/Jakarta", 0), told) == words


def test_the_page_has_words_of_its_own_for_all_that_an_agent_answers() -> None:
    files = [ROOT / name for name in ("protocol/configuration.py", "device/settings/rules.py")]
    codes = {code for file in files for code in re.findall(r'WrongValueError\("(\w+)"', file.read_text("utf-8"))}
    assert {"environment", "static_key", "too_many", "wrong_zone"} <= codes
    for code in codes:
        assert texts_in("en")(f"refusal.{code}") != texts_in("id")(f"refusal.{code}")


def test_a_row_shows_what_was_typed_after_a_refusal_and_what_changed_meanwhile() -> None:
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


def test_units_are_those_of_the_wire() -> None:
    assert {key: one.unit for key, one in configuration.SETTINGS.items() if one.unit} == settings.UNITS
