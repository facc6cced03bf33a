"""Sentences of the API in the caller's language. Keys and member names stay English; what people read does not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.requests import HTTPConnection

from hub.core.access import Principal
from hub.web.problems import Say, Text
from texts.catalogue import Texts, read
from texts.languages import DEFAULT, LANGUAGES, from_accept_language

FOLDER: Final = Path(__file__).parent / "texts"


def texts_in(language: str) -> Texts:
    return read(FOLDER, language)


def language_of(connection: HTTPConnection, principal: Principal | None) -> str:
    """What the request asks for, else what its user chose, else English. A browser always asks, so a choice the user
    made on the account page wins over Accept-Language when the user is known by a cookie."""
    chosen = principal.language if principal is not None and principal.language in LANGUAGES else None
    if chosen is not None and principal is not None and principal.via == "session":
        return chosen
    return from_accept_language(connection.headers.get("accept-language", "")) or chosen or DEFAULT


# Bound: one a language.
@cache
def sayer(language: str) -> Say:
    """The function that puts a Text into that language."""
    texts = texts_in(language)

    def say(text: Text) -> str:
        return texts(text.key, **{name: value_in(value) for name, value in text.params.items()})

    def value_in(value: Any) -> str | int:
        if isinstance(value, Text):
            return say(value)
        if isinstance(value, (list, tuple)):
            return ", ".join(str(each) for each in value)
        if isinstance(value, float):
            return f"{value:g}"
        return value if isinstance(value, int) else str(value)

    return say
