"""The field guide on the dashboard is the one of docs/, whole, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dashboard import guide
from dashboard.esbuild import STATIC
from dashboard.guide import GuideWords, blocks, spans

LOCALES = STATIC.parent / "locales"


def test_each_kind_of_block_is_read() -> None:
    text = (
        "# Head\nA **bold**\nline, see [there](x.md).\n\n1. one\n   more\n2. *two*\n* `three`\n```\na  b\n\nc\n```\n"
        "| a | b |\n|---|:-:|\n| c | |\n### Small\nend"
    )
    found = [(block.kind, block.rows) for block in blocks(text)]
    assert found == [
        ("h1", ((spans("Head"),),)),
        (
            "p",
            (
                (
                    (
                        GuideWords("", "A "),
                        GuideWords("b", "bold"),
                        GuideWords("", " line, see "),
                        GuideWords("", "there"),
                        GuideWords("", "."),
                    ),
                ),
            ),
        ),
        ("ol", (((GuideWords("", "one more"),),), ((GuideWords("i", "two"),),))),
        ("ul", (((GuideWords("code", "three"),),),)),
        ("pre", (((GuideWords("", "a  b\n\nc"),),),)),
        ("table", ((spans("a"), spans("b")), (spans("c"), ()))),
        ("h3", ((spans("Small"),),)),
        ("p", ((spans("end"),),)),
    ]


@pytest.mark.parametrize("language", ["en", "id"])
def test_nothing_of_the_guide_is_lost_and_no_mark_of_its_file_is_left(language: str) -> None:
    made = guide.guide(language)
    assert made is not None
    shown = " ".join(span.text for block in made for row in block.rows for cell in row for span in cell)
    file = (guide.DOCS / guide.FILES[language]).read_text(encoding="utf-8")
    source = re.sub(r"\]\([^)]*\)", "", re.sub(r"^\[.*\n", "", file, flags=re.MULTILINE))
    letters = re.compile(r"[^\W\d_]")
    assert "".join(letters.findall(shown)) == "".join(letters.findall(source))
    prose = " ".join(
        span.text for block in made if block.kind != "pre" for row in block.rows for cell in row for span in cell
        if span.kind != "code"
    )  # fmt: skip
    assert not re.search(r"[*`#]|\]\(", prose)
    kinds = [block.kind for block in made]
    assert kinds[0] == "h1"
    assert kinds.count("table") == 2
    assert kinds == [block.kind for block in guide.guide("en") or ()]


BEGINS_A_SENTENCE = {"Do not copy the old disk", "Jangan menyalin disk lama", "Hitung mundur"}


@pytest.mark.parametrize("language", ["en", "id"])
def test_what_the_guide_sends_people_to_is_called_so_on_the_dashboard(language: str) -> None:
    """A button, a tab or a field: bold and with a capital, or in quotes, or the end of a way (Account → …)."""
    file = (guide.DOCS / guide.FILES[language]).read_text(encoding="utf-8")
    source = " ".join(re.sub(r"```.*?```", "", file, flags=re.DOTALL).split())
    bold = {name.rstrip(".") for name in re.findall(r"\*\*(.+?)\*\*", source) if name[0].isupper()}
    quoted = set(re.findall(r"“(.+?)”", source))
    ways = {part for way in re.findall(r"→ ([^|]+) \|", source) for part in way.split(" → ")}
    known = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8")).values()
    called = [re.sub(r"\\\{\w+\\\}", ".+", re.escape(text)) for text in known if isinstance(text, str)]
    named = (bold | quoted | ways) - BEGINS_A_SENTENCE
    assert len(named) >= 15
    assert {name for name in named if not any(re.fullmatch(text, name) for text in called)} == set()


def test_a_paragraph_that_begins_with_a_link_is_for_readers_of_the_file() -> None:
    """Its links lead to files that a page does not have."""
    found = list(blocks("# Head\n\n[English](a.md) · [why](b.md)\nand more\n\nText, [see](c.md)"))
    assert [block.kind for block in found] == ["h1", "p"]
    assert found[1].rows[0][0] == spans("Text, [see](c.md)")


def test_a_hub_without_docs_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guide, "DOCS", tmp_path)
    assert guide.guide.__wrapped__("en") is None
