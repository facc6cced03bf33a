"""The one small text that names who did it, and the ids of rows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from db import schema
from hub.model import actors
from hub.model.actors import MAX_ROW_ID, row_id, whole_number


@pytest.mark.parametrize(
    ("actor", "person"),
    [(actors.user(12), 12), (actors.machine(12), None), (actors.CLOCK, None), (actors.SYSTEM, None), ("user:", None),
     ("user:-1", None), ("user:1x", None)],
)  # fmt: skip
def test_a_person_is_found_again_in_the_name_and_nobody_else_is(actor: str, person: int | None) -> None:
    assert actors.user_of(actor) == person


@pytest.mark.parametrize(
    ("actor", "asks"), [("user:1", True), ("system", True), ("clock", False), ("machine:7", False)]
)
def test_a_machine_and_the_clock_only_pass_on_what_holds(actor: str, asks: bool) -> None:
    assert actors.asks(actor) is asks


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
