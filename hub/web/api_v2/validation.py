"""A JSON object to a Struct, member by member, so that one answer names everything that is wrong and its fix."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from hub.web.api_v2.expectations import expectation
from hub.web.problems import Problem, Text, invalid

S = TypeVar("S", bound=msgspec.Struct)

MAX_NAMED = 20
"""Wrong members named in one answer."""


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
            errors[name] = [expectation(field.type)]
    if unknown == "refuse":
        errors |= _strangers(value, fields)
    if errors:
        raise invalid(dict(list(errors.items())[:MAX_NAMED]))
    return kind(**good)


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
            found[name[:100]] = [
                Text("unknown_near", {"near": near[0]}) if near else Text("unknown_member", {"known": known})
            ]
    return found
