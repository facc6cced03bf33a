"""The base of every table's record."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import msgspec


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records; never instantiated."""

    TABLE: ClassVar[str]


R = TypeVar("R", bound=TableRow)
