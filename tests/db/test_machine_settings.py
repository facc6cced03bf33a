"""Settings on both databases: one row a scope, versions that only grow, and one winner of two writers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db.engine.row_writes import delete
from db.engine.store import Store
from db.errors import Conflict
from db.queries import machines
from db.records import FLEET, FleetSettingsRow, MachineRow, MachineSettingsRow
from hub.kernel.commits import commit_alone
from hub.machine_settings.rules import replacing
from hub.model.effective_settings import DesiredSettings
from tests.support.database_rows import add_machine, after


async def write(store: Store, rvm_id: int | None, version: int, before: int = 0, **values: Any) -> None:
    await commit_alone(store, replacing(rvm_id, DesiredSettings(values, version, after(version), "user:1"), before))


async def test_nothing_was_written_yet(store: Store) -> None:
    assert await machines.fleet_settings(store) is None
    assert await machines.machine_settings(store) == {}
    assert await machines.newest_settings(store) == 0


async def test_each_scope_comes_back_as_it_was_written_last(store: Store) -> None:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")
    values: dict[str, Any] = {"admin_ips": ["10.0.0.0/8"], "cpu_threshold": 70.5, "mine": "ü", "on": True}
    await write(store, north, 1, **values)
    await write(store, None, 2, cpu_threshold=80)
    await write(store, north, 3, 1, mine="new")
    await write(store, south, 4)
    await write(store, None, 5, 2)
    fleet, rows = await machines.fleet_settings(store), await machines.machine_settings(store)
    assert fleet == FleetSettingsRow(id=FLEET, values={}, version=5, updated_at=after(5), updated_by="user:1")
    assert rows == {
        north: MachineSettingsRow(
            rvm_id=north, values={"mine": "new"}, version=3, updated_at=after(3), updated_by="user:1"
        ),
        south: MachineSettingsRow(rvm_id=south, values={}, version=4, updated_at=after(4), updated_by="user:1"),
    }
    assert await machines.newest_settings(store) == 5


@pytest.mark.parametrize("rvm_id", [None, 1])
async def test_a_write_against_what_is_no_longer_there_is_refused(store: Store, rvm_id: int | None) -> None:
    await add_machine(store)
    await write(store, rvm_id, 1, mine=1)
    for version, before in ((2, 0), (3, 2), (1, 1)):
        with pytest.raises(Conflict) as caught:
            await write(store, rvm_id, version, before, mine=9)
        assert (caught.value.column, caught.value.kind) == ("version", "missing")
    row = await machines.fleet_settings(store) if rvm_id is None else (await machines.machine_settings(store))[rvm_id]
    assert row is not None
    assert (row.values, row.version) == ({"mine": 1}, 1)
    assert await machines.newest_settings(store) == 1


async def test_two_scopes_never_get_the_same_version(store: Store) -> None:
    rvm_id = await add_machine(store)
    outcomes = await asyncio.gather(write(store, rvm_id, 1, a=1), write(store, None, 1, b=1), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert [refusal.column for refusal in refused] == ["version"]
    assert (await machines.fleet_settings(store) is None) != (await machines.machine_settings(store) == {})


async def test_a_machine_that_is_not_there_has_no_settings(store: Store) -> None:
    with pytest.raises(Conflict) as caught:
        await write(store, 99, 1, a=1)
    assert (caught.value.column, caught.value.kind) == ("rvm_id", "reference")
    assert await machines.newest_settings(store) == 0


async def test_settings_go_with_the_machine_and_its_version_is_not_given_again(store: Store) -> None:
    rvm_id = await add_machine(store)
    await write(store, rvm_id, 3, a=1)
    await store.write(delete(MachineRow, rvm_id))
    assert await machines.machine_settings(store) == {}
    assert await machines.newest_settings(store) == 3
