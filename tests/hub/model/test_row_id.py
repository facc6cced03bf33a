"""What is the id of a row, and what only looks like one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from db import schema
from hub.model.row_id import MAX_ROW_ID, row_id, whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("2147483647", MAX_ROW_ID)])
def test_ascii_digits_are_an_id(text: str, number: int) -> None:
    assert row_id(text) == number


_NONE = ["", " 7", "7 ", "7\n", "+7", "-7", "7.0", "1_000", "0x7", "seven", "\u0667", "\u00b2", "\uff17"]
_TOO_LONG = ["2147483648", "00000000007", "9223372036854775807", "9" * 10_000]


@pytest.mark.parametrize("text", [*_NONE, *_TOO_LONG])
def test_anything_else_is_none(text: str) -> None:
    assert row_id(text) is None


def test_other_numbers_have_their_own_limit() -> None:
    assert [whole_number(text, 99) for text in ("0", "99", "100", "a")] == [0, 99, None, None]


def test_the_limit_is_that_of_the_columns() -> None:
    """`system_metrics.id` is longer and in no address."""
    ids = {table.name: type(table.c.id.type) for table in schema.metadata.tables.values() if "id" in table.c}
    assert {name for name, kind in ids.items() if kind not in (sa.Integer, sa.String)} == {"system_metrics"}
