"""Sentences by key: `texts("ago", age="3 h")`. Plain text: pages escape it, log and terminal clean it.
tests/texts/fixtures/sentences.json holds dashboard/static/js/texts.js to the same sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Final

Forms = str | dict[str, str]
"""A sentence, or one for each plural form (CLDR's `one`, `other`)."""
Value = str | int | float | BaseException | PurePath
"""What has words: None would leave a place open."""
FORMS: Final = {"en": ("one", "other"), "id": ("other",)}
_PLACE: Final = re.compile(r"\{(\w+)\}", re.ASCII)


class Texts(Mapping[str, Forms]):
    """Of one language. As a mapping: as in its file."""

    __slots__ = ("_sentences", "language")

    def __init__(self, language: str, sentences: Mapping[str, Forms]) -> None:
        self.language = language
        self._sentences = sentences

    def __call__(self, key: str, /, **values: object) -> str:
        """`count` chooses the form. An unknown key raises KeyError; a place without a value stays."""
        sentence = self._sentences[key]
        if not isinstance(sentence, str):
            sentence = sentence[plural_form(self.language, values.get("count"))]

        def filled(place: re.Match[str]) -> str:
            value = values.get(place[1])
            return place[0] if value is None else str(value)

        return _PLACE.sub(filled, sentence)

    def __getitem__(self, key: str) -> Forms:
        return self._sentences[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sentences)

    def __len__(self) -> int:
        return len(self._sentences)


def plural_form(language: str, count: object) -> str:
    """`one` or `other`, by CLDR's rules for our languages."""
    is_one = isinstance(count, (int, float)) and abs(count) == 1
    return "one" if is_one and "one" in FORMS[language] else "other"


@cache
def read(folder: Path, language: str) -> Texts:
    """Of `folder`/`language`.json, read once."""
    return Texts(language, json.loads((folder / f"{language}.json").read_text(encoding="utf-8")))
