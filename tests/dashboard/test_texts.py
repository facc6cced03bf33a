"""Both languages say everything, and nothing is named that neither says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboard.texts import Texts, dictionary

DASHBOARD = Path(__file__).parents[2] / "dashboard"


def test_both_languages_have_the_same_texts_with_the_same_values_in_them() -> None:
    english, indonesian = dictionary("en"), dictionary("id")
    assert list(english) == list(indonesian)
    for key in english:
        assert _values(english[key]) == _values(indonesian[key]), key
        assert indonesian[key].strip(), key


def test_every_text_a_template_or_module_names_exists() -> None:
    known = dictionary("en")
    sources = [*DASHBOARD.glob("templates/*.html"), *DASHBOARD.glob("static/js/**/*.js"), *DASHBOARD.glob("*.py")]
    named = {key for path in sources for key in re.findall(r"""\bt\(["']([a-z_.]+)["'][,)]""", path.read_text("utf-8"))}
    assert len(named) > 120
    assert not [key for key in sorted(named - {"key"}) if key not in known]


def test_the_agent_says_in_both_languages_why_a_tile_has_no_reading() -> None:
    known = dictionary("en")
    shown = ("cpu", "memory", "disk", "gpu", "thermal", "jtop")
    files = [DASHBOARD.parent / f"device/system_monitor/{name}.py" for name in shown]
    said = {
        reason
        for path in files
        for call in re.findall(r"(?:absent\(|_why = )(.*)", path.read_text("utf-8"))
        for reason in re.findall(r'(?<!f)"([^"]+)"', call)
    }
    assert len(said) > 10
    assert [reason for reason in sorted(said) if f"none.{reason}" not in known] == []


def test_no_text_is_left_over() -> None:
    everything = "".join(
        path.read_text("utf-8")
        for folder in (DASHBOARD, DASHBOARD.parent / "hub/web")
        for path in folder.rglob("*")
        if path.suffix in (".py", ".html", ".js") and "api_v2" not in path.parts
    )
    groups = (
        "status.",
        "connection.",
        "why.",
        "cause.",
        "none.",
        "metric.",
        "column.",
        "role.",
        "help.",
        "who.",
        "fact.",
        "keys.",
        "error.",
        "unit.",
        "tz.",
        "what.",
        "affected.",
        "phase.",
        "result.",
        "failure.",
        "event.",
        "lease.",
        "past.",
        "recording.",
        "term_over.",
        "term_hint.",
        "key.",
        "remote_refusal.",
    )
    alone = [
        key
        for key in dictionary("en")
        if key.removesuffix(".one") not in everything and not key.startswith(groups) and not _grouped(key, everything)
    ]
    assert alone == []


def test_a_value_is_put_in_as_it_is_and_one_is_one() -> None:
    t = Texts("en")
    assert t("all_fine", count=1, n="1", age="2 s").startswith("Your machine")
    assert t("said.status", name="{status}", status="Full") == "{status}: Full"
    assert Texts("xx").language == "en"
    with pytest.raises(KeyError):
        t("no.such.text")


def _values(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def _grouped(key: str, everything: str) -> bool:
    """Whether something asks for `group.` and a name put behind it."""
    group = re.escape(key.rpartition(".")[0])
    return re.search(rf"""{group}\.["'`]? ?[~$]|{group}\.\{{""", everything) is not None
