"""Every query on machines, their statuses and boots, on both databases."""

from __future__ import annotations

import pytest

from db.engine.row_writes import insert, update
from db.engine.store import Store
from db.errors import Conflict
from db.queries import boots, machines, statuses
from db.records import MachineRow, StatusRow
from tests.support.database_rows import NOW, add_machine, after, open_boot


async def test_the_history_of_statuses_begins_with_the_one_that_held(store: Store) -> None:
    rvm_id = await add_machine(store)
    for second, status in ((0, "active"), (10, "full"), (20, "maintenance"), (30, "active")):
        row = StatusRow(rvm_id=rvm_id, status=status, capacity=second, since=after(second), by="system")
        await store.write(insert(row))
    found = await statuses.statuses_between(store, rvm_id, after(15), after(30))
    assert [(row.status, row.since, row.capacity) for row in found] == [
        ("full", after(10), 10),
        ("maintenance", after(20), 20),
    ]
    everything = await statuses.statuses_between(store, rvm_id, after(-5), after(99))
    assert [row.status for row in everything] == ["active", "full", "maintenance", "active"]
    assert await statuses.statuses_between(store, rvm_id + 1, NOW, after(99)) == []
    newest = await statuses.newest_statuses(store, rvm_id, 2)
    assert [row.since for row in newest] == [after(30), after(20)]
    assert [row.status for row in await statuses.newest_statuses(store, rvm_id, 9, after(20))] == ["full", "active"]


async def test_what_held_for_many_machines_at_one_moment(store: Store) -> None:
    first, second, third = [await add_machine(store, name) for name in ("a", "b", "c")]
    for rvm_id, second_of, status in (
        (first, 0, "active"), (first, 10, "full"), (first, 10, "maintenance"), (first, 20, "error"),
        (second, 15, "inactive"),
    ):  # fmt: skip
        row = StatusRow(rvm_id=rvm_id, status=status, capacity=0, since=after(second_of), by="system")
        await store.write(insert(row))
    at_ten = await statuses.statuses_at(store, (first, second, third), after(10))
    assert {rvm_id: row.status for rvm_id, row in at_ten.items()} == {first: "maintenance"}, "the last of one moment"
    later = await statuses.statuses_at(store, (first, second), after(16))
    assert {rvm_id: row.status for rvm_id, row in later.items()} == {first: "maintenance", second: "inactive"}
    assert await statuses.statuses_at(store, (), after(16)) == {}


async def test_a_boot_is_made_once_and_found_again(store: Store) -> None:
    rvm_id = await add_machine(store)
    first = await open_boot(store, rvm_id, "a", NOW)
    second = await open_boot(store, rvm_id, "b", NOW)
    again = await open_boot(store, rvm_id, "a", after(1))
    assert (again.id, again.last_used_at) == (first.id, after(1))
    assert first.last_seq is None
    assert await boots.recent_boots(store, 9) == [second, again], "in order of use"
    assert await boots.recent_boots(store, 1) == [again]
    values = {"boot_id": "b"}
    await store.write(update(MachineRow, rvm_id, values))
    assert await boots.recent_boots(store, 1) == [second], "that of the last hello, however long ago"
    with pytest.raises(Conflict) as caught:
        await open_boot(store, rvm_id + 1, "a", NOW)
    assert caught.value.column == "rvm_id"


async def test_a_pulse_shows_that_machines_changed(store: Store) -> None:
    assert await machines.pulse(store) == machines.Pulse(0, None)
    rvm_id = await add_machine(store)
    assert await machines.pulse(store) == machines.Pulse(1, NOW)
    await store.write(update(MachineRow, rvm_id, {"name": "new", "updated_at": after(3)}))
    assert await machines.pulse(store) == machines.Pulse(1, after(3))
    assert [row.name for row in await machines.changed_since(store, after(2), 10)] == ["new"]
    assert await machines.all_ids(store) == {rvm_id}
