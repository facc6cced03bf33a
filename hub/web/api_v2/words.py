"""Sentences of the API in the caller's language. Keys and member names stay English; what people read does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.requests import HTTPConnection

from hub.core.access import Principal
from hub.web.problems import Say, Text

LANGUAGES: Final = ("en", "id")
FOLDER: Final = Path(__file__).parent / "texts"


# Bound: one a language.
@cache
def dictionary(language: str) -> Mapping[str, str]:
    words: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return words


def language_of(connection: HTTPConnection, principal: Principal | None) -> str:
    """What the request asks for, else what its user chose, else English. A browser always asks, so a choice the user
    made on the account page wins over Accept-Language when the user is known by a cookie."""
    chosen = principal.language if principal is not None else None
    if chosen in LANGUAGES and principal is not None and principal.via == "session":
        return chosen
    return _accepted(connection.headers.get("accept-language", "")) or (chosen if chosen in LANGUAGES else "en")


# Bound: one a language.
@cache
def sayer(language: str) -> Say:
    """The function that puts a Text into that language."""
    words = dictionary(language)

    def say(text: Text) -> str:
        sentence = words[text.key]
        for name, value in text.params.items():
            # Not str.format: a value may hold braces of its own.
            sentence = sentence.replace("{" + name + "}", say(value) if isinstance(value, Text) else _plain(value))
        return sentence

    return say


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _accepted(header: str) -> str | None:
    """The supported language with the highest weight; the first one of equals."""
    best: tuple[float, str] | None = None
    for part in header[:500].split(","):
        tag, _, rest = part.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        primary = "id" if primary == "in" else primary
        weight = _weight(rest)
        if primary in LANGUAGES and weight > 0 and (best is None or weight > best[0]):
            best = (weight, primary)
    return best[1] if best is not None else None


def _weight(rest: str) -> float:
    text = rest.strip()
    if not text.startswith("q="):
        return 1.0
    try:
        return float(text[2:])
    except ValueError:
        return 0.0
