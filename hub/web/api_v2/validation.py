"""A JSON object to a Struct, member by member, so that one answer names everything that is wrong and its fix."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from hub.web.api_v2.expectations import expectation
from hub.web.problems import Problem, Text, invalid

S = TypeVar("S", bound=msgspec.Struct)

MAX_NAMED = 20
"""Wrong members named in one answer."""
MAX_LOOKED_AT = 10_000
"""Characters of a text in which a wrong one is looked for."""


def validate(kind: type[S], value: Any, *, unknown: str = "refuse", lax: bool = False) -> S:
    """The Struct, or a 422. `unknown` members are refused (naming the nearest name) or ignored; `lax` reads numbers and
    truth values from text, as query strings need."""
    if not isinstance(value, dict):
        raise Problem("invalid", Text("object_wanted"))
    fields = _fields(kind)
    if value.keys() <= fields.keys():
        try:
            return msgspec.convert(value, kind, strict=not lax)
        except (msgspec.ValidationError, OverflowError):
            pass  # the slow way finds all that is wrong, not only the first
    errors: dict[str, list[Text]] = {}
    good: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in value:
            if field.required:
                errors[name] = [Text("missing", {"expected": expectation(field.type)})]
            continue
        try:
            good[field.name] = msgspec.convert(value[name], field.type, strict=not lax)
        except (msgspec.ValidationError, OverflowError):
            errors[name] = [_why(field.type, value[name])]
    if unknown == "refuse":
        errors |= _strangers(value, fields)
    if errors:
        raise invalid(dict(list(errors.items())[:MAX_NAMED]))
    return kind(**good)


def _why(kind: Any, value: Any) -> Text:
    """What it should have been; of a text that would be right without its control characters, which one is wrong."""
    if isinstance(value, str) and len(value) <= MAX_LOOKED_AT:
        controls = [c for c in dict.fromkeys(value) if c < " " or c == "\x7f"]
        if controls and _fits(kind, value.translate(dict.fromkeys(map(ord, controls)))):
            wrong = next((c for c in controls if not _fits(kind, value.translate(_all_but(c, controls)))), controls[0])
            return Text("wrong_character", {"code": f"U+{ord(wrong):04X}", "expected": expectation(kind)})
    return expectation(kind)


def _all_but(kept: str, controls: Sequence[str]) -> dict[int, None]:
    return {ord(c): None for c in controls if c != kept}


def _fits(kind: Any, value: str) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """By the name in JSON. Cached: msgspec reads the annotations anew each time, which takes half a millisecond."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _strangers(value: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, list[Text]]:
    found = {}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name[:100], list(fields), n=1)
            known = list(fields)
            strange = Text("unknown_member", {"known": known}) if known else Text("takes_nothing")
            found[name[:100]] = [Text("unknown_near", {"near": near[0]}) if near else strange]
    return found
