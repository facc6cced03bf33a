"""Both languages say the same: every catalogue of sentences, a file or a table in a module, in English and in Bahasa
Indonesia, with the same places for values and each plural form that the language has. And what a test reads in a page
holds at each hour of the day.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.house import House
from texts.catalogue import FORMS

TEXT_LAW = "every text in English and in Bahasa Indonesia, with the same places for values"
DAY_LAW = "a page is tested at any hour: the day of what was or will be is LATELY or SHORTLY (support/browser.py)"
_DAY = re.compile(r"\b(today|tomorrow|yesterday|hari ini|besok|kemarin)\b(?!\])")

Catalogue = dict[str, Any]


def texts(house: House) -> Iterator[str]:
    for name, english, indonesian in (*_files(house.root), *_tables(house)):
        for key in sorted(english.keys() ^ indonesian.keys()):
            missing = "id" if key in english else "en"
            yield f"{name} lacks {key} in {missing}; the law: {TEXT_LAW}"
        for key in sorted(english.keys() & indonesian.keys()):
            for language, sentence in (("en", english[key]), ("id", indonesian[key])):
                if not isinstance(sentence, str) and tuple(sentence) != FORMS[language]:
                    yield f"{name} has other forms than {FORMS[language]} in {key}; the law: {TEXT_LAW}"
                if not all(_forms(sentence)):
                    yield f"{name} has nothing to say in {key} in {language}; the law: {TEXT_LAW}"
            if _places(english[key]) != _places(indonesian[key]):
                yield f"{name} has other places for values in {key}; the law: {TEXT_LAW}"


def _files(root: Path) -> Iterator[tuple[str, Catalogue, Catalogue]]:
    for english in sorted(root.glob("*/**/en.json")):
        if "node_modules" not in english.parts:
            other = english.with_name("id.json")
            found = [json.loads(path.read_text(encoding="utf-8")) if path.exists() else {} for path in (english, other)]
            yield str(english.parent.relative_to(root)), *found


def _tables(house: House) -> Iterator[tuple[str, Catalogue, Catalogue]]:
    """Literals like `{"en": {"key": "text"}, "id": {"key": "teks"}}`."""
    for module in house.modules.values():
        for node in module.nodes:
            if isinstance(node, ast.Dict) and [ast.unparse(key) for key in node.keys if key] == ["'en'", "'id'"]:
                english, indonesian = node.values
                if isinstance(english, ast.Dict) and isinstance(indonesian, ast.Dict):
                    yield f"{module.shown}:{node.lineno}", ast.literal_eval(english), ast.literal_eval(indonesian)


def _forms(sentence: str | dict[str, str]) -> list[str]:
    return [sentence] if isinstance(sentence, str) else list(sentence.values())


def _places(sentence: str | dict[str, str]) -> set[str]:
    return {place for form in _forms(sentence) for place in re.findall(r"\{[^{}]*\}", form)}


def days(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if module.within("tests.browser"):
            own_words = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}  # docstrings
            for node in module.nodes:
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in own_words:
                    is_choice = node.value == "tomorrow"  # of a list
                    if not is_choice and (found := _DAY.search(node.value)):
                        yield f"{module.shown}:{node.lineno} expects {found[0]!r}; the law: {DAY_LAW}"


LAWS = (texts, days)
