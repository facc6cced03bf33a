"""The records are the schema: the same tables, the same columns in the same order, absent where a column may be."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import msgspec
import pytest
import sqlalchemy as sa

from db.columns import UtcTimestamp
from db.conditions import COMPARE, holds
from db.engine.row_writes import table_of
from db.records import OPEN, RECORDS, CommandRow, MachineRow, RemoteSessionRow, is_open, record
from db.schema import COMMAND_STATES, metadata
from db.table_row import TableRow
from tests.support.database_rows import NOW, after

TUPLES_OF_THEIR_OWN = {"system_metrics"}
"""Samples: `db.rows.SampleRow`."""


def kind_of(column: sa.Column[Any]) -> tuple[type, ...]:
    if isinstance(column.type, sa.JSON):
        return (dict, tuple)
    if isinstance(column.type, UtcTimestamp):
        return (datetime,)
    return (column.type.python_type,)


def test_every_table_has_a_record() -> None:
    assert {of.TABLE for of in RECORDS} == set(metadata.tables) - TUPLES_OF_THEIR_OWN
    assert len({of.TABLE for of in RECORDS}) == len(RECORDS)


@pytest.mark.parametrize("of", RECORDS, ids=lambda of: of.__name__)
def test_fields_are_the_columns_in_order(of: type[TableRow]) -> None:
    assert of.__struct_fields__ == tuple(table_of(of).c.keys())


@pytest.mark.parametrize("of", RECORDS, ids=lambda of: of.__name__)
def test_a_field_is_of_its_columns_kind_and_absent_where_that_may_be(of: type[TableRow]) -> None:
    for field in msgspec.structs.fields(of):
        column = table_of(of).c[field.name]
        kinds = get_args(field.type) if type(None) in get_args(field.type) else (field.type,)
        assert (type(None) in kinds) is bool(column.nullable), column
        plain = [getattr(kind, "__origin__", kind) for kind in kinds if kind is not type(None)]
        assert len(plain) == 1
        assert plain[0] in kind_of(column), column
        if column.nullable:
            assert field.default is None, column
        elif column.server_default is not None:
            written = str(getattr(column.server_default, "arg", None)).strip("'")
            assert str(field.default).lower() in (written, {"0": "false"}.get(written)), column


def machine(**values: Any) -> MachineRow:
    given: dict[str, Any] = {"device_id": "d", "name": "n", "status_since": NOW, "status_by": "system",
                             "created_at": NOW, "updated_at": NOW}  # fmt: skip
    return MachineRow(**{**given, **values})


def test_a_list_of_the_database_is_a_tuple_of_the_record() -> None:
    values = msgspec.structs.asdict(machine())
    assert record(MachineRow, {**values, "capabilities": ["a", "b"]}).capabilities == ("a", "b")
    assert record(MachineRow, values).capabilities is None


def test_every_state_of_a_command_is_open_or_an_end() -> None:
    rule = OPEN[CommandRow]
    assert set(rule.states) < set(COMMAND_STATES)
    row = CommandRow(
        id="a", rvm_id=1, name="ping", args={}, state="running", issued_by="x", issued_at=NOW, expires_at=NOW
    )
    assert is_open(row)
    assert not is_open(msgspec.structs.replace(row, state="expired"))
    session = RemoteSessionRow(rvm_id=1, start_time=NOW, created_at=NOW, status="requested")
    assert is_open(session)
    assert not is_open(msgspec.structs.replace(session, status="ended"))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((), True),
        ((("connection_epoch", "<=", 3),), True),
        ((("connection_epoch", "<=", 2),), False),
        ((("connection_epoch", "<", 3),), False),
        ((("connection_epoch", ">", 2), ("name", "=", "n")), True),
        ((("connection_epoch", ">=", 4),), False),
        ((("ntp", "=", None),), True),
        ((("name", "=", None),), False),
        ((("ntp", "=", True),), False),
        ((("last_seen_at", "<", after(1)),), False),
        ((("name", "=", "m"),), False),
    ],
)
def test_conditions_hold_in_memory_as_in_a_database(where: tuple[tuple[str, str, Any], ...], expected: bool) -> None:
    assert holds(machine(connection_epoch=3), where) is expected


def test_only_known_operators_compare() -> None:
    assert sorted(COMPARE) == ["<", "<=", "=", ">", ">="]
