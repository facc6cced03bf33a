"""Errors as values: RFC 9457 problems, translated at the edge. Keys and member names stay English."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.model.access import Principal
from texts.catalogue import Texts, read
from texts.languages import DEFAULT, LANGUAGES, from_accept_language

MEDIA_TYPE: Final = "application/problem+json"
TYPES_AT: Final = "/api/v2/docs#problem-"

STATUS_OF: Final[Mapping[str, int]] = {
    "malformed": 400, "not-authenticated": 401, "forbidden": 403, "not-found": 404, "method-not-allowed": 405,
    "conflict": 409, "precondition-failed": 412, "too-large": 413, "unsupported-media-type": 415,
    "range-not-satisfiable": 416, "invalid": 422, "too-many-requests": 429, "internal": 500, "unavailable": 503,
}  # fmt: skip


class Text(NamedTuple):
    """A sentence to be: its key, and what to put into it (values, or further Texts)."""

    key: str
    params: Mapping[str, Any] = {}


Translate = Callable[[Text], str]


def not_stored(error: Exception) -> Text:
    """Of a database that is away: whether it may have been done all the same."""
    return Text("outcome_unknown" if getattr(error, "outcome_unknown", False) else "unavailable")


def for_person(why: Text) -> Text:
    """Without the null that a program may send as well: a person leaves the field empty."""
    is_optional = why.params.get("other") == Text("expect.null")
    return why.params["one"] if is_optional else why


class Problem(Exception):  # noqa: N818 - named as RFC 9457 names it
    """`kind`: one of STATUS_OF; `errors`: each wrong member and what is right; `code` tells cases apart."""

    def __init__(
        self,
        kind: str,
        detail: Text,
        *,
        errors: Mapping[str, Sequence[Text]] | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(detail.key)
        self.kind = kind
        self.status = STATUS_OF[kind]
        self.detail = detail
        self.errors = errors
        self.code = code
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))


class ProblemDocument(msgspec.Struct, kw_only=True):
    """`type` leads to the explanation; `errors`: each wrong member and what is right; `code` tells kinds apart."""

    success: bool
    message: str
    type: str
    title: str
    status: int
    detail: str
    errors: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET


def respond(problem: Problem, translate: Translate, base_path: str = "") -> Response:
    detail = translate(problem.detail)
    document = ProblemDocument(
        success=False, message=detail, type=base_path + TYPES_AT + problem.kind,
        title=translate(Text(f"title.{problem.kind}")), status=problem.status, detail=detail,
    )  # fmt: skip
    if problem.errors:
        document.errors = {field: [translate(why) for why in whys] for field, whys in problem.errors.items()}
    if problem.code is not None:
        document.code = problem.code
    return Response(msgspec.json.encode(document), problem.status, problem.headers, MEDIA_TYPE)


def not_found() -> Problem:
    """The same for what may not be known."""
    return Problem("not-found", Text("not_found"))


def invalid(errors: Mapping[str, Sequence[Text]]) -> Problem:
    (field, whys), more = next(iter(errors.items())), len(errors) - 1
    named = {"field": field, "why": whys[0], "more": more}
    return Problem("invalid", Text("invalid_and_more" if more else "invalid", named), errors=errors)


def one_wrong(field: str, why: str, **params: Any) -> Problem:
    return invalid({field: [Text(why, params)]})


FOLDER: Final = Path(__file__).parent / "texts"


def texts_in(language: str) -> Texts:
    return read(FOLDER, language)


def language_of(connection: HTTPConnection, principal: Principal | None) -> str:
    """Asked for, else chosen, else English. By a cookie the chosen one wins."""
    chosen = principal.language if principal is not None and principal.language in LANGUAGES else None
    if chosen is not None and principal is not None and principal.via == "session":
        return chosen
    return from_accept_language(connection.headers.get("accept-language", "")) or chosen or DEFAULT


@cache  # Bound: one a language
def translator(language: str) -> Translate:
    texts = texts_in(language)

    def translate(text: Text) -> str:
        return texts(text.key, **{name: value_in(value) for name, value in text.params.items()})

    def value_in(value: Any) -> str | int:
        if isinstance(value, Text):
            return translate(value)
        if isinstance(value, (list, tuple)):
            return ", ".join(str(each) for each in value)
        if isinstance(value, float):
            return f"{value:g}"
        return value if isinstance(value, int) else str(value)

    return translate
