"""What a member of a body should have been, said from its type: the fix that a 422 names.

Reads msgspec's description of a type and answers a Text; says nothing about the value that was sent.
"""

from __future__ import annotations

from typing import Any

import msgspec.inspect as mi

from hub.web.problems import Text


def expectation(kind: Any) -> Text:
    """`kind` is a type annotation of a Struct's member."""
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
