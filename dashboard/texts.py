"""Words of the product in the reader's language: one JSON file a language, looked up by key.

Knows nothing of requests, users or HTML. What it returns is plain text; templates escape it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "id")
DEFAULT = "en"
PLACE = re.compile(r"\{(\w+)\}")
FOLDER = Path(__file__).parent / "locales"


@cache
def dictionary(language: str) -> dict[str, str]:
    """All texts of a language: flat, `key -> text with {names}`."""
    loaded: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return loaded


class Texts:
    """`texts("seen.ago", age="3 h")`. With `count`, the form `key.one` is taken for 1 where the language has it."""

    __slots__ = ("_dictionary", "language")

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else DEFAULT
        self._dictionary = dictionary(self.language)

    def __call__(self, key: str, /, **params: Any) -> str:
        found = self._dictionary
        if params.get("count") == 1 and f"{key}.one" in found:
            key = f"{key}.one"
        text = found[key]
        # In one pass, and not by str.format: values come from machines, and a "{" in one of them must stay a "{".
        return PLACE.sub(lambda place: str(params.get(place[1], place[0])), text)

    def has(self, key: str) -> bool:
        return key in self._dictionary


@cache
def texts_in(language: str) -> Texts:
    """The shared, immutable Texts of a language."""
    return Texts(language)
