"""Kinds of values of bodies and answers, and a JSON object to a Struct: one 422 names all that is wrong.

The fix is derived from the type; `extra={"expect": KEY}` names a sentence of texts/ instead."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import msgspec.inspect as mi

from hub.model.actors import MAX_ROW_ID
from hub.model.machine import MAX_TAG, MAX_TAGS, MAX_TAGS_OF_USER
from hub.web.http.problems import Problem, Text, invalid, one_wrong
from protocol import free_shape

# `$(?!\n)` and not `\Z`: the pattern also stands in the OpenAPI document, where other regular expressions read it.
_UNSEEN = (
    r"\x80-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb"
)
"""Invisible, or turns the line around: two names could look the same."""
ONE_LINE = rf"^[^\x00-\x20\x7f{_UNSEEN}]([^\x00-\x1f\x7f{_UNSEEN}]*[^\x00-\x20\x7f{_UNSEEN}])?$(?!\n)"
_NO_NUL = r"^[^\x00]*$(?![\n\x00])"

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=ONE_LINE, extra={"expect": "expect.title"})]
Search = Annotated[str, msgspec.Meta(max_length=100, pattern=_NO_NUL, extra={"expect": "expect.search"})]
Note = Annotated[str, msgspec.Meta(max_length=500, pattern=_NO_NUL, extra={"expect": "expect.note"})]
DeviceId = Annotated[
    str,
    msgspec.Meta(
        max_length=100,
        pattern=r"^(?![0-9]+$)[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$(?!\n)",
        extra={"expect": "expect.device_id"},
    ),
]
Tag = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_TAG,
        pattern=rf"^[^\x00-\x20\x7f,{_UNSEEN}]([^\x00-\x1f\x7f,{_UNSEEN}]*[^\x00-\x20\x7f,{_UNSEEN}])?$(?!\n)",
        extra={"expect": "expect.tag"},
    ),
]
Tags = Annotated[list[Tag], msgspec.Meta(max_length=MAX_TAGS, extra={"expect": "expect.tags"})]
TagsOfUser = Annotated[list[Tag], msgspec.Meta(max_length=MAX_TAGS_OF_USER, extra={"expect": "expect.tags_of_user"})]
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90, extra={"expect": "expect.latitude"})]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180, extra={"expect": "expect.longitude"})]
Email = Annotated[
    str,
    msgspec.Meta(
        max_length=200,
        pattern=rf"^[^@\s\x00-\x1f\x7f{_UNSEEN}]{{1,100}}@[^@\s\x00-\x1f\x7f{_UNSEEN}]{{1,99}}$(?!\n)",
        extra={"expect": "expect.email"},
    ),
]
Password = Annotated[str, msgspec.Meta(max_length=200, pattern=_NO_NUL, extra={"expect": "expect.password"})]
SignInCode = Annotated[str, msgspec.Meta(max_length=100, pattern=_NO_NUL, extra={"expect": "expect.code"})]
Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=_NO_NUL, extra={"expect": "expect.zone"})]
"""A name of the IANA database; `protocol.zones` knows which."""
Language = Literal["en", "id"]
Theme = Literal["light", "dark", "auto"]
UserRole = Literal["admin", "operator", "technician", "viewer"]
Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"}, extra={"expect": "expect.time"})]
"""RFC 3339; in answers always UTC with Z."""
InstantGiven = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=_NO_NUL, extra={"expect": "expect.time"})
]
"""RFC 3339; a naive one about a machine is in its zone, a date alone is its start."""
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=30)]
Row = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROW_ID)]


S = TypeVar("S", bound=msgspec.Struct)

MAX_NAMED = 20
MAX_LOOKED_AT = 10_000


def validate(kind: type[S], value: Any, *, unknown: str = "refuse", lax: bool = False) -> S:
    """`unknown` members are refused or ignored; `lax` reads numbers and truth values from text, for query strings."""
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
        errors |= _unknown_members(value, fields)
    if errors:
        raise invalid(dict(list(errors.items())[:MAX_NAMED]))
    return kind(**good)


def _why(kind: Any, value: Any) -> Text:
    """Which control character is wrong in an otherwise right text."""
    if isinstance(value, str) and len(value) <= MAX_LOOKED_AT:
        controls = [c for c in dict.fromkeys(value) if c < " " or c == "\x7f"]
        if controls and _fits(kind, value.translate(dict.fromkeys(map(ord, controls)))):
            others = {c: {ord(o): None for o in controls if o != c} for c in controls}
            wrong = next((c for c in controls if not _fits(kind, value.translate(others[c]))), controls[0])
            return Text("wrong_character", {"code": f"U+{ord(wrong):04X}", "expected": expectation(kind)})
    return expectation(kind)


def _fits(kind: Any, value: str) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Cached: msgspec takes 0.5 ms."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _unknown_members(value: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, list[Text]]:
    found = {}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name[:100], list(fields), n=1)
            known = list(fields)
            strange = Text("unknown_member", {"known": known}) if known else Text("takes_nothing")
            found[name[:100]] = [Text("unknown_near", {"near": near[0]}) if near else strange]
    return found


def expectation(kind: Any) -> Text:
    return _expect(mi.type_info(kind))


def _expect(kind: mi.Type) -> Text:
    if isinstance(kind, mi.Metadata):
        key = (kind.extra or {}).get("expect")
        return Text(key) if key else _expect(kind.type)
    if isinstance(kind, mi.UnionType):
        return _union(kind)
    if isinstance(kind, mi.StrType):
        return _text(kind)
    if isinstance(kind, (mi.IntType, mi.FloatType)):
        return _number(kind)
    if isinstance(kind, mi.LiteralType):
        return Text("expect.one_of", {"values": [v for v in kind.values if v is not None]})
    if isinstance(kind, mi.BoolType):
        return Text("expect.truth")
    if isinstance(kind, mi.NoneType):
        return Text("expect.null")
    if isinstance(kind, (mi.ListType, mi.VarTupleType, mi.SetType)):
        return Text("expect.list", {"of": _expect(kind.item_type)})
    if isinstance(kind, mi.DateTimeType):
        return Text("expect.time")
    return Text("expect.object")


def _union(kind: mi.UnionType) -> Text:
    real = [t for t in kind.types if not isinstance(_bare(t), mi.NoneType)]
    texts = [_expect(t) for t in real]
    text = texts[0]
    for other in texts[1:]:
        text = Text("expect.or", {"one": text, "other": other})
    nullable = any(isinstance(_bare(t), mi.NoneType) for t in kind.types)
    return Text("expect.or", {"one": text, "other": Text("expect.null")}) if nullable else text


def _bare(kind: mi.Type) -> mi.Type:
    return _bare(kind.type) if isinstance(kind, mi.Metadata) else kind


def _text(kind: mi.StrType) -> Text:
    if kind.max_length is None:
        return Text("expect.text")
    return Text("expect.text_of", {"least": kind.min_length or 0, "most": kind.max_length})


def _number(kind: mi.IntType | mi.FloatType) -> Text:
    whole = "whole" if isinstance(kind, mi.IntType) else "number"
    if kind.ge is not None and kind.le is not None:
        return Text(f"expect.{whole}_between", {"least": kind.ge, "most": kind.le})
    if isinstance(kind, mi.FloatType) and kind.gt is not None and kind.le is not None:
        return Text("expect.number_above", {"above": kind.gt, "most": kind.le})
    if kind.ge is not None:
        return Text(f"expect.{whole}_from", {"least": kind.ge})
    return Text(f"expect.{whole}")


def check_free_shape(member: str, value: dict[str, Any] | None) -> None:
    """Raises Problem: too deep, or with what the wire does not carry."""
    if free_shape.fault_of(value) is not None:
        raise one_wrong(member, "expect.free_shape")
