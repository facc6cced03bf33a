"""Changes are stored as they are: rows, patches, moves and drops of any table, in one transaction."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from db.engine.row_writes import table_of
from db.engine.store import Store
from db.errors import Conflict
from db.records import CommandRow, CounterRow, EventRow, MachineRow, StatusRow, record
from db.table_row import TableRow
from hub.kernel.commits import commit_alone
from hub.model.changes import Change, Drop, Observed, Patch, Put, move
from tests.support.database_rows import NOW

MACHINE = MachineRow(device_id="d", name="n", status_since=NOW, status_by="system", created_at=NOW, updated_at=NOW)
STATUS = StatusRow(rvm_id=0, status="active", capacity=0, since=NOW, by="system")


async def all_of(store: Store, of: type[TableRow]) -> list[Any]:
    table = table_of(of)
    return [record(of, row) for row in await store.fetch_all(sa.select(table).order_by(*table.primary_key))]


async def put_machine(store: Store) -> MachineRow:
    (stored,) = await commit_alone(store, [Put(MACHINE, along=(STATUS,))])
    assert isinstance(stored, Put)
    assert isinstance(stored.row, MachineRow)
    return stored.row


async def test_a_row_is_stored_with_those_that_belong_to_it(store: Store) -> None:
    machine = await put_machine(store)
    assert machine == msgspec.structs.replace(MACHINE, id=machine.id)
    (status,) = await all_of(store, StatusRow)
    assert status == msgspec.structs.replace(STATUS, id=status.id, rvm_id=machine.id)


async def test_the_life_of_a_command(store: Store) -> None:
    machine = await put_machine(store)
    command = CommandRow(
        id="c", rvm_id=machine.id, name="ping", args={}, state="queued", issued_by="user:1", issued_at=NOW,
        expires_at=NOW,
    )  # fmt: skip
    event = Put(EventRow(at=NOW, code="x", actor="user:1", rvm_id=machine.id, params={}))
    stored = await commit_alone(store, [Put(command), event])
    assert stored[0] == Put(command)
    asked = Patch(CommandRow, "c", {"cancel_by": "user:2", "cancel_at": NOW}, while_open=True, must="state")
    await commit_alone(store, [asked])
    await commit_alone(store, [move(command, state="cancelled", finished_at=NOW)])
    (row,) = await all_of(store, CommandRow)
    assert (row.state, row.cancel_by) == ("cancelled", "user:2"), "what a move does not name, it does not undo"
    for late in (asked, move(command, state="failed")):
        with pytest.raises(Conflict) as refused:
            await commit_alone(store, [late])
        assert refused.value.column == "state"
    await commit_alone(store, [Drop(CommandRow, "c", must="id")])
    assert await all_of(store, CommandRow) == []


async def test_all_of_it_or_nothing(store: Store) -> None:
    machine = await put_machine(store)
    with pytest.raises(Conflict):
        await commit_alone(store, [Patch(MachineRow, machine.id, {"ntp": True}), Patch(MachineRow, 99, {}, must="id")])
    assert await all_of(store, MachineRow) == [machine]


async def test_what_is_no_news_is_left_out_and_what_is_observed_is_stored_nowhere(store: Store) -> None:
    once: Change = Put(CounterRow(name="n", value=1), once=True)
    seen = Observed(7, {"busy": True})
    assert await commit_alone(store, [once, seen]) == [once, seen]
    assert await commit_alone(store, [once, seen]) == [seen]
    over = Put(CounterRow(name="n", value=2), over=("value",))
    assert await commit_alone(store, [over]) == [over]
    assert await all_of(store, CounterRow) == [CounterRow(name="n", value=2)]
