"""Makes the shape of an answer from the record that it shows. Knows no resource."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeVar, cast, get_args

import msgspec

from db.records import TableRow
from hub.web.http.validation import Instant

S = TypeVar("S", bound=msgspec.Struct)


def of_record(record: type[TableRow], *, without: Collection[str] = ()) -> Callable[[type[S]], type[S]]:
    """Give a Struct the record's columns, each required, instants in RFC 3339. Its own members replace columns of their
    name, or follow them. Raises ValueError for a column in `without` that the record does not have."""
    columns = {field.name: _shown(field.type) for field in msgspec.structs.fields(record)}
    if unknown := set(without) - columns.keys():
        raise ValueError(f"{record.__name__} has no {sorted(unknown)}")

    def derive(shape: type[S]) -> type[S]:
        own = {field.name: field for field in msgspec.structs.fields(shape)}
        members: list[Any] = [
            (name, own.pop(name).type if name in own else kind) for name, kind in columns.items() if name not in without
        ]
        members += [(f.name, f.type) if f.required else (f.name, f.type, f.default) for f in own.values()]
        made = msgspec.defstruct(shape.__name__, members, module=shape.__module__)
        made.__doc__ = shape.__doc__
        return cast("type[S]", made)

    return derive


def _shown(kind: Any) -> Any:
    if kind is datetime:
        return Instant
    return Instant | None if datetime in get_args(kind) else kind
