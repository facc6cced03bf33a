"""Lines of a copy are PostgreSQL's own, and every value comes back as it was."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.columns import to_microseconds
from db.engine.row_text import CopiedTable, copied_tables, read, written
from db.schema import metadata

TABLE = CopiedTable("t", (("at", "instant"), ("is", "boolean"), ("f", "float"), ("i", "integer"), ("t", "text")))
INSTANTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(timezone.utc))  # noqa: DTZ001


@given(
    st.none() | INSTANTS.map(to_microseconds), st.none() | st.booleans(), st.none() | st.floats(allow_nan=False),
    st.none() | st.integers(), st.none() | st.text(),
)  # fmt: skip
def test_every_value_comes_back(
    at: int | None, is_: bool | None, float_: float | None, integer: int | None, text: str | None
) -> None:
    row = [at, is_, float_, integer, text]
    (line,) = written(TABLE, [row])
    assert line.count("\n") == 1
    assert list(read(TABLE, [line])) == [row]


def test_a_line_is_as_postgresql_writes_it() -> None:
    (line,) = written(TABLE, [[1, True, 0.1, 5, "a\tb\\N"]])
    assert line == "1970-01-01 00:00:00.000001+00\tt\t0.1\t5\ta\\tb\\\\N\n"
    (found,) = read(TABLE, ["2026-01-02 03:04:05.5+00\tf\tInfinity\t-1\t\\\\x\\q\n"])
    assert found[0] == to_microseconds(datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=timezone.utc))
    assert found[1:] == [False, math.inf, -1, "\\xq"]


@pytest.mark.parametrize(
    "line", ["1", "\t\t\t\t\t", "infinity\tt\t1\t1\t", "2026-01-01 00:00:00+07\tt\t1\t1\t", "\\N\ttrue\t1\t1\t",
             "\\N\tt\tx\t1\t", "\\N\tt\t1\t1.5\t"],
)  # fmt: skip
def test_a_line_of_another_table_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(read(TABLE, [line]))


def test_every_column_of_the_product_has_a_kind_and_parents_come_first() -> None:
    tables = copied_tables(frozenset({"sessions"}))
    assert {table.name for table in tables} == metadata.tables.keys() - {"sessions"}
    place = {table.name: number for number, table in enumerate(tables)}
    for name, at in place.items():
        assert all(place[key.column.table.name] < at for key in metadata.tables[name].foreign_keys)
