"""Conditions on a row as values: for a statement and a record in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

Where = tuple[tuple[str, str, Any], ...]
"""(column, operator, value), all of which hold. `=` None is "absent"; with the operator `of` the value is a
machine's id, and the column must equal that machine's own column of this name."""
COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def holds(row: object, where: Where) -> bool:
    return all(_holds(getattr(row, column), how, value) for column, how, value in where)


def _holds(found: Any, how: str, value: Any) -> bool:
    if found is None or value is None:
        return how == "=" and found is value
    return bool(COMPARE[how](found, value))
