"""The record of events can be added to, and nothing else: not by our statements, and not by anybody's."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.sql.dml import Delete, Insert, UpdateBase

import db
import db.engine
import db.queries
from db import event_guard
from db.engine.row_writes import delete, insert, update
from db.engine.statements import PerDialect
from db.engine.store import Store
from db.errors import StoreError
from db.queries import events
from db.records import EventRow, MachineRow, UserRow
from db.schema import events as table
from tests.support.database_rows import NOW, add_machine

EDITS = (
    sa.update(table).values(actor="somebody else"),
    sa.delete(table),
)


def statements() -> Iterator[tuple[str, UpdateBase]]:
    """Every write that a module of db/ holds ready, in both dialects."""
    packages = (db, db.engine, db.queries)
    for found in (
        one for package in packages for one in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if isinstance(value, PerDialect):
                yield from ((f"{found.name}.{name}", value.make(dialect)) for dialect in ("sqlite", "postgresql"))
            elif isinstance(value, UpdateBase):
                yield f"{found.name}.{name}", value


def test_no_statement_of_ours_changes_or_deletes_an_event() -> None:
    ours = list(statements())
    assert len(ours) > 10
    assert any(isinstance(statement, Delete) for _, statement in ours)
    on_events = [(name, statement) for name, statement in ours if statement.table is table]
    assert on_events == []


def test_nor_does_one_that_is_made_for_a_record() -> None:
    event = EventRow(at=NOW, code="a", actor="b", boot_id="c", seq=1)
    with pytest.raises(ValueError, match="only added to"):
        update(EventRow, 1, {"code": "c"})
    with pytest.raises(ValueError, match="only added to"):
        delete(EventRow, 1)
    with pytest.raises(ValueError, match="only added to"):
        insert(event, over=("code",))
    for write in (insert(event), insert(event, once=True)):
        statement = write.statement
        for made in (
            [statement.make(name) for name in ("sqlite", "postgresql")]
            if isinstance(statement, PerDialect)
            else [statement]
        ):
            assert isinstance(made, Insert)
            assert "DO UPDATE" not in str(made.compile(dialect=_dialect_of(made)))


def test_nor_does_one_that_is_made_on_the_way() -> None:
    """`sa.update(events)` and the like anywhere in db/, also inside of functions."""
    made = []
    for path in Path(str(db.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if ast.unparse(node.func).rpartition(".")[2] in ("update", "delete", "insert_or_update", "drop_table"):
                made.append((path.name, ast.unparse(node.args[0])))
    assert len(made) > 10
    assert [place for place in made if "events" in place[1]] == [("0001_first_tables.py", "'events'")]


def _dialect_of(statement: UpdateBase) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    kinds: Any = postgresql if "postgresql" in type(statement).__module__ else sqlite
    return kinds.dialect()


@pytest.mark.parametrize("edit", EDITS, ids=["update", "delete"])
async def test_the_database_refuses_an_edit_even_if_there_were_one(store: Store, edit: UpdateBase) -> None:
    await store.write(insert(EventRow(at=NOW, code="a.b", actor="user:1", params={"x": 1})))
    before = await events.list_events(store, limit=10)
    with pytest.raises(StoreError, match=event_guard.REFUSAL):
        await store.write(edit)
    assert await events.list_events(store, limit=10) == before


async def test_not_even_the_databases_own_tools_empty_it(postgres_url: str, sqlite_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        with pytest.raises(asyncpg.PostgresError, match=event_guard.REFUSAL):
            await connection.execute("TRUNCATE events")
    finally:
        await connection.close()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as file:
        insert = "INSERT {} INTO events (id, at, code, actor, params) VALUES (1, '2026-01-01', 'a', 'b', '{{}}')"
        file.execute(insert.format(""))
        with pytest.raises(sqlite3.IntegrityError, match=event_guard.REFUSAL):
            file.execute("UPDATE OR REPLACE events SET code = 'c'")
        assert file.execute("SELECT code FROM events").fetchall() == [("a",)]


@pytest.mark.parametrize(
    "remove",
    [lambda _: delete(MachineRow, 1, must="id"), lambda _: delete(UserRow, 1, must="id")],
    ids=["machine", "user"],
)
async def test_events_outlive_whom_they_name(store: Store, remove: Callable[[int], Any]) -> None:
    rvm_id = await add_machine(store)
    await store.write(insert(UserRow(email="a@b.c", name="A", role="viewer", created_at=NOW, updated_at=NOW)))
    await store.write(insert(EventRow(at=NOW, code="a.b", actor="user:1", rvm_id=rvm_id, params={})))
    await store.write(remove(rvm_id))
    (row,) = await events.list_events(store, limit=10)
    assert (row.actor, row.rvm_id) == ("user:1", rvm_id)
