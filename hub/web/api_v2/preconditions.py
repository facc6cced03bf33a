"""`ETag` and `If-Match` (RFC 9110) for what has a version: the header says what `version` says in the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from hub.web.problems import Problem, Text

HEADER: Final = "If-Match"
PARAMETER: Final = {HEADER: "The ETag that you have seen; a write in between is answered 412 and changes nothing."}
_TAGS: Final = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*)*')
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


def tagged(version: int) -> Mapping[str, str]:
    """The headers of an answer that shows this version."""
    return {"ETag": _tag(version)}


def version_expected(request: Request, version: int) -> int | None:
    """The present version when the caller named it, None when they do not care. 412 when they named another."""
    if HEADER not in request.headers:
        return None
    given = ",".join(request.headers.getlist(HEADER))
    if given.strip() == "*":
        return None
    if not _TAGS.fullmatch(given):
        raise Problem("malformed", Text("if_match_wrong", {"example": _tag(version)}))
    if _tag(version) not in _TAG.findall(given):  # a weak one never is (RFC 9110, 13.1.1)
        raise stale(version)
    return version


def stale(version: int) -> Problem:
    return Problem("precondition-failed", Text("stale", {"version": version}), headers=tagged(version))


def _tag(version: int) -> str:
    return f'"{version}"'
