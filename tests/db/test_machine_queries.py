"""Every query on machines, their statuses and boots, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from db import boots, machine_pulse, machines, statuses
from db.connection import Store
from db.errors import Conflict
from db.records import MachineRow
from db.statements import Write
from tests.support.database_rows import NOW, add_machine, after, open_boot


def hello(rvm_id: int, epoch: int, **changes: Any) -> Write:
    values: dict[str, Any] = {
        "epoch": epoch,
        "at": after(epoch),
        "agent_version": "1.2",
        "boot_id": "boot-1",
        "capabilities": ("ping", "set_status"),
        "hardware": {"model": "Orin"},
        "timezone": "Asia/Jakarta",
        "config_version": 3,
        "clock_offset_s": -0.25,
        "ip": "10.0.0.7",
        "simulated": True,
    }
    return machines.introduce(rvm_id, **{**values, **changes})


async def the(store: Store, rvm_id: int) -> MachineRow:
    row = await machines.find_machine(store, rvm_id)
    assert row is not None
    return row


async def test_what_a_hello_told_is_kept(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(hello(rvm_id, 1))
    row = await the(store, rvm_id)
    assert (row.agent_version, row.boot_id, row.capabilities) == ("1.2", "boot-1", ("ping", "set_status"))
    assert (row.hardware, row.timezone, row.config_version) == ({"model": "Orin"}, "Asia/Jakarta", 3)
    assert (row.clock_offset_s, row.last_ip, row.simulated) == (-0.25, "10.0.0.7", True)
    assert (row.connection_epoch, row.last_seen_at, row.farewell) == (1, after(1), None)


async def test_a_hello_without_time_zone_leaves_the_one_that_is_known(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(hello(rvm_id, 1))
    await store.write(hello(rvm_id, 2, timezone=None, hardware=None))
    row = await the(store, rvm_id)
    assert (row.timezone, row.hardware) == ("Asia/Jakarta", None)


async def test_an_older_link_has_no_say(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(hello(rvm_id, 5))
    await store.write(hello(rvm_id, 5, agent_version="again"))
    with pytest.raises(Conflict) as caught:
        await store.write(hello(rvm_id, 4, agent_version="late"))
    assert caught.value.column == "connection_epoch"
    (ended,) = await store.write(machines.end_link(rvm_id, epoch=4, at=after(50), farewell="shutdown"))
    assert ended.rowcount == 0
    row = await the(store, rvm_id)
    assert (row.agent_version, row.farewell, row.last_seen_at) == ("again", None, after(5))
    await store.write(machines.end_link(rvm_id, epoch=5, at=after(60), farewell="reboot"))
    row = await the(store, rvm_id)
    assert (row.farewell, row.last_seen_at) == ("reboot", after(60))


async def test_a_declared_status_replaces_the_one_before(store: Store) -> None:
    rvm_id = await add_machine(store)
    for status, special, until in (("full", "maintenance", after(60)), ("active", None, None)):
        declared = machines.set_status(
            rvm_id, status=status, special_status=special, capacity=55, since=after(1), by="user:1", reason="why",
            until=until,
        )  # fmt: skip
        await store.write(declared)
        row = await the(store, rvm_id)
        assert (row.status, row.special_status, row.capacity, row.status_until) == (status, special, 55, until)
        assert (row.status_since, row.status_by, row.status_reason) == (after(1), "user:1", "why")


async def test_an_edit_changes_what_it_names_and_nothing_else(store: Store) -> None:
    rvm_id = await add_machine(store)
    before = await the(store, rvm_id)
    await store.write(
        machines.update_machine(rvm_id, {"name": "new", "api_key": "h2", "api_key_prefix": "p2"}, after(9))
    )
    row = await the(store, rvm_id)
    assert (row.name, row.api_key, row.api_key_prefix, row.updated_at) == ("new", "h2", "p2", after(9))
    assert (row.device_id, row.created_at, row.status) == (before.device_id, NOW, before.status)


async def test_a_removed_machine_is_gone_and_cannot_be_removed_again(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(machines.delete_machine(rvm_id))
    assert await machines.find_machine(store, rvm_id) is None
    with pytest.raises(Conflict) as caught:
        await store.write(machines.delete_machine(rvm_id))
    assert (caught.value.column, caught.value.kind) == ("id", "missing")


async def test_the_history_of_statuses_begins_with_the_one_in_force(store: Store) -> None:
    rvm_id = await add_machine(store)
    for second, status in ((0, "active"), (10, "full"), (20, "maintenance"), (30, "active")):
        row = statuses.insert_status(
            rvm_id, status=status, special_status=None, capacity=second, since=after(second), by="system", reason=None
        )
        await store.write(row)
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
    await store.write(machines.update_machine(rvm_id, values, NOW))
    assert await boots.recent_boots(store, 1) == [second], "that of the last hello, however long ago"
    with pytest.raises(Conflict) as caught:
        await open_boot(store, rvm_id + 1, "a", NOW)
    assert caught.value.column == "rvm_id"


async def test_a_pulse_tells_that_machines_changed(store: Store) -> None:
    assert await machine_pulse.pulse(store) == machine_pulse.Pulse(0, None)
    rvm_id = await add_machine(store)
    assert await machine_pulse.pulse(store) == machine_pulse.Pulse(1, NOW)
    await store.write(machines.update_machine(rvm_id, {"name": "new"}, after(3)))
    assert await machine_pulse.pulse(store) == machine_pulse.Pulse(1, after(3))
    assert [row.name for row in await machine_pulse.changed_since(store, after(2), 10)] == ["new"]
    assert await machine_pulse.all_ids(store) == {rvm_id}
