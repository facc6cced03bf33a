"""The field guide of docs/ as blocks that a template draws: of Markdown only what our own guide uses.

Links lead to other files of docs/, which the hub does not serve: their words stay, but for a paragraph that begins
with one, which is for readers of the file alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

FILES: Final = {"en": "field_guide.md", "id": "panduan_lapangan.md"}
DOCS: Final = Path(__file__).parents[1] / "docs"
_SPAN: Final = re.compile(r"\*\*(?P<b>[^*]+)\*\*|\*(?P<i>[^*]+)\*|`(?P<code>[^`]+)`|\[(?P<a>[^\]]*)\]\([^)]*\)")
_ITEM: Final = re.compile(r"(?:(\d+\.)|\*) +(.*)\Z")
_OTHER: Final = re.compile(r"#|```|\||\d+\. |\* ")


class GuideWords(NamedTuple):
    """`kind`: "", b, i or code."""

    kind: str
    text: str


GuideText = tuple[GuideWords, ...]


class GuideBlock(NamedTuple):
    """`kind`: h1, h2, h3, p, ol, ul, pre or table. `rows`: its one text, its items, or its rows of cells."""

    kind: str
    rows: tuple[tuple[GuideText, ...], ...]


@cache
def guide(language: str) -> tuple[GuideBlock, ...] | None:
    """None: the hub came without docs/. Reads a file."""
    file = DOCS / FILES[language]
    return tuple(blocks(file.read_text(encoding="utf-8"))) if file.is_file() else None


def blocks(text: str) -> Iterator[GuideBlock]:
    lines = text.splitlines()
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        elif lines[0].startswith("["):
            _paragraph(lines)
        else:
            yield _block(lines)


def _block(lines: list[str]) -> GuideBlock:
    first = lines[0]
    if heading := re.match(r"(#{1,3}) +(.*)\Z", first):
        lines.pop(0)
        return GuideBlock(f"h{len(heading[1])}", ((spans(heading[2]),),))
    if first.startswith("```"):
        lines.pop(0)
        inside = _taken(lines, lambda line: not line.startswith("```"))
        del lines[:1]
        return GuideBlock("pre", (((GuideWords("", "\n".join(inside)),),),))
    if first.startswith("|"):
        table = _taken(lines, lambda line: line.startswith("|"))
        rows = [line.strip().strip("|").split("|") for line in table if set(line) - set("|-: ")]
        return GuideBlock("table", tuple(tuple(spans(cell.strip()) for cell in row) for row in rows))
    if item := _ITEM.match(first):
        kind = "ol" if item[1] else "ul"
        return GuideBlock(kind, tuple((spans(text),) for text in _items(lines, kind)))
    return GuideBlock("p", ((spans(" ".join(_paragraph(lines))),),))


def _taken(lines: list[str], wanted: Callable[[str], bool]) -> list[str]:
    found: list[str] = []
    while lines and wanted(lines[0]):
        found.append(lines.pop(0))
    return found


def _items(lines: list[str], kind: str) -> Iterator[str]:
    while lines and (item := _ITEM.match(lines[0])) and (kind == "ol") == bool(item[1]):
        lines.pop(0)
        more = _taken(lines, lambda line: line.startswith(" "))
        yield " ".join([item[2], *(line.strip() for line in more)])


def _paragraph(lines: list[str]) -> list[str]:
    found = [lines.pop(0)]
    return found + _taken(lines, lambda line: bool(line.strip()) and not _OTHER.match(line))


def spans(text: str) -> GuideText:
    found: list[GuideWords] = []
    at = 0
    for match in _SPAN.finditer(text):
        kind = str(match.lastgroup)
        found += [GuideWords("", text[at : match.start()]), GuideWords("" if kind == "a" else kind, match[kind])]
        at = match.end()
    return tuple(span for span in (*found, GuideWords("", text[at:])) if span.text)
