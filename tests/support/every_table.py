"""Rows in every table of the product, with all that a text or a number can hold; and what a database holds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa

from db.columns import UtcTimestamp
from db.engine.statements import Write
from db.engine.store import Store
from db.schema import metadata

TEXT = "tab\tline\ncr\r back\\slash \\N \\. \x0b'\"; \N{SNOWMAN} \N{GRINNING FACE}"
ALLOWED: dict[str, Any] = {
    "status": "maintenance", "special_status": None, "state": "succeeded", "role": "admin", "capacity": 50,
    "upload_status": "verified",
}  # fmt: skip
"""By column, what a check lets through."""


async def fill(store: Store, rows: int = 3) -> None:
    """The first row of each has all columns, the last only what it must have."""
    for table in metadata.sorted_tables:
        for number in range(1, rows + 1):
            columns = [column for column in table.columns if number < rows or not column.nullable]
            values = {column.name: _value(column, number) for column in columns}
            if store.dialect == "postgresql" and table.name == "counters":
                values["name"] = f"of_postgres_{number}"
            await store.write(Write(sa.insert(table), values))


def _value(column: sa.Column[Any], number: int) -> Any:
    if column.name in ALLOWED:
        return ALLOWED[column.name]
    if isinstance(column.type, UtcTimestamp):
        return datetime(2026, 2, 28, 23, 59, 59, tzinfo=timezone.utc) + timedelta(microseconds=100_000 * number)
    if isinstance(column.type, sa.Boolean):
        return number % 2 == 1
    if isinstance(column.type, sa.Float):
        return (0.1 + 0.2) * number if number > 1 else 1e-300
    if isinstance(column.type, sa.Integer):
        return number
    if isinstance(column.type, sa.JSON):
        return {"list": [1, None, TEXT], "n": number}
    return f"{number}{TEXT}"[: column.type.length or 100]  # type: ignore[attr-defined]


async def held(store: Store, without: frozenset[str] = frozenset()) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in an order of its own."""
    found = {}
    for table in metadata.sorted_tables:
        if table.name not in without:
            rows = await store.fetch_all(sa.select(table))
            found[table.name] = sorted((dict(row) for row in rows), key=repr)
    return found
