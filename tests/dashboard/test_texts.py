"""The dashboard's texts: nothing is named that is not there, and nothing is there that nobody names."""

from __future__ import annotations

import re
from pathlib import Path

from dashboard.texts import texts_in

DASHBOARD = Path(__file__).parents[2] / "dashboard"


def test_every_text_a_template_or_module_names_exists() -> None:
    known = texts_in("en")
    sources = [*DASHBOARD.glob("templates/*.html"), *DASHBOARD.glob("static/js/**/*.js"), *DASHBOARD.glob("*.py")]
    named = {key for path in sources for key in re.findall(r"""\bt\(["']([a-z_.]+)["'][,)]""", path.read_text("utf-8"))}
    assert len(named) > 120
    assert not [key for key in sorted(named - {"key"}) if key not in known]


def test_the_agent_says_in_both_languages_why_a_tile_has_no_reading() -> None:
    known = texts_in("en")
    shown = ("sensors", "jtop")
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
        for folder in (DASHBOARD, DASHBOARD.parent / "hub")
        for path in folder.rglob("*")
        if path.suffix in (".py", ".html", ".js")
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
        "hardware.disk.",
        "hardware.none.",
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
        "backup.",
        "restore.",
        "privileges.",
        "notify.state.",
        "notify.member.",
        "times.",
    )
    alone = [
        key
        for key in texts_in("en")
        if key not in everything and not key.startswith(groups) and not _grouped(key, everything)
    ]
    assert alone == []


def test_a_value_is_put_in_as_it_is_and_one_is_one() -> None:
    t = texts_in("en")
    assert t("days", count=1, n="1") == "1 day"
    assert t("said.status", name="{status}", status="Full") == "{status}: Full"
    assert texts_in("xx").language == "en"


def _grouped(key: str, everything: str) -> bool:
    """Whether something asks for `group.` and a name put behind it."""
    group = re.escape(key.rpartition(".")[0])
    return re.search(rf"""{group}\.["'`]? ?[~$]|{group}\.\{{""", everything) is not None
