"""Headers of list pages (X-Total-Count, Link) and versions (`ETag`, `If-Match`; RFC 9110); instants that a caller
names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

from starlette.requests import Request

from hub.model.dating import UndatableError, read
from hub.model.machine import Machine
from hub.model.views import rfc3339
from hub.web.api.operation import Call
from hub.web.http.problems import Problem, Text, one_wrong


def next_page(
    request: Request, *, total: int | None = None, relation: str = "next", **following: object
) -> dict[str, str]:
    """`following`: query members of the page of that `relation`."""
    found = {} if total is None else {"X-Total-Count": str(total)}
    changed = {name: str(value) for name, value in following.items() if value is not None}
    if changed:
        address = f"{quote(request.scope['path'])}?{urlencode({**request.query_params, **changed})}"
        found["Link"] = f'<{address}>; rel="{relation}"'
    return found


IF_MATCH: Final = "If-Match"
IF_MATCH_PARAMETER: Final = {
    IF_MATCH: "The ETag that you have seen; a write in between is answered 412 and changes nothing."
}
_TAGS: Final = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*)*')
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


Version = TypeVar("Version", int, str)


def tagged(version: int | str) -> Mapping[str, str]:
    return {"ETag": _tag(version)}


def version_expected(request: Request, version: Version) -> Version | None:
    """The present version when the caller named it, None when they named none. 412 when they named another."""
    if IF_MATCH not in request.headers:
        return None
    given = ",".join(request.headers.getlist(IF_MATCH))
    if given.strip() == "*":
        return None
    if not _TAGS.fullmatch(given):
        raise Problem("malformed", Text("if_match_wrong", {"example": _tag(version)}))
    if _tag(version) not in _TAG.findall(given):  # a weak one never is (RFC 9110, 13.1.1)
        raise stale(version)
    return version


def stale(version: int | str) -> Problem:
    why = Text("changed_meanwhile") if isinstance(version, str) else Text("stale", {"version": version})
    return Problem("precondition-failed", why, headers=tagged(version))


def _tag(version: int | str) -> str:
    return f'"{version}"'


_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIRST, LAST = datetime(1000, 1, 1, tzinfo=timezone.utc), datetime(9998, 12, 31, tzinfo=timezone.utc)
"""At the calendar's edges no zone could hold the instant."""
_EDGES: Final = {"0001": "1000", "9999": "9998"}
"""Programs' "always" and "never", as years that every zone can hold."""


def zone_of(call: Call, machine: Machine | None = None) -> str:
    """In which a naive time about a machine is read: a person means its place, a machine its own clock."""
    about = call.machine if machine is None else machine
    return about.clock_zone if call.principal.kind == "machine" else about.site_zone


def bound(call: Call, member: str, text: str | None, zone: str | None = None) -> datetime | None:
    """In UTC; a naive one is in `zone`, else the hub's; a date alone is its first moment. Clamped to FIRST and LAST.
    Raises the 422 that names `member`."""
    if text is None:
        return None
    found = _read(call, member, _EDGES.get(text[:4], text[:4]) + text[4:], zone)
    return min(max(found, FIRST), LAST)


def ahead(call: Call, member: str, text: str, zone: str | None = None) -> str:
    """RFC 3339 in UTC; past, or after LAST: refused."""
    found = _read(call, member, text, zone)
    if found > LAST:
        raise one_wrong(member, "expect.time")
    if found <= call.now:
        raise one_wrong(member, "until_past")
    return rfc3339(found)


def _read(call: Call, member: str, text: str, zone: str | None) -> datetime:
    try:
        return read(f"{text}T00:00" if _DAY.fullmatch(text) else text, zone, call.context.settings.default_timezone)
    except UndatableError as wrong:
        raise one_wrong(member, "expect.time") from wrong
