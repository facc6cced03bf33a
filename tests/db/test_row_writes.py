"""Any record is stored, changed and deleted by the same few statements, on both databases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from db.engine.row_writes import as_stored, belonging, delete, insert, key_of, table_of, update
from db.engine.store import Store
from db.errors import Conflict
from db.records import (
    BootRow,
    CommandRow,
    CounterRow,
    EventRow,
    MachineRow,
    RecordingRow,
    RemoteSessionRow,
    StatusRow,
    UserMachineRow,
    UserRow,
    ZoneRow,
    record,
)
from db.table_row import TableRow  # fmt: skip
from tests.support.database_rows import NOW, after

MACHINE = MachineRow(
    device_id="d", name="n", status_since=NOW, status_by="system", capabilities=("a", "b"), hardware={"model": "x"},
    created_at=NOW, updated_at=NOW,
)  # fmt: skip
COMMAND = CommandRow(
    id="c", rvm_id=1, name="ping", args={"n": 1}, state="queued", issued_by="user:1", issued_at=NOW, expires_at=NOW
)


async def put(store: Store, row: TableRow, **how: Any) -> Any:
    (result,) = await store.write(insert(row, **how))
    return as_stored(row, result)


async def all_of(store: Store, of: type[TableRow]) -> list[Any]:
    table = table_of(of)
    return [record(of, row) for row in await store.fetch_all(sa.select(table).order_by(*table.primary_key))]


async def changed(
    store: Store, of: type[TableRow], key: Any, values: Mapping[str, Any], *where: Any, **how: Any
) -> int:
    (result,) = await store.write(update(of, key, values, where, **how))
    return result.rowcount


async def missing(store: Store, write: Any) -> str:
    with pytest.raises(Conflict) as refused:
        await store.write(write)
    assert refused.value.kind == "missing"
    return refused.value.column


async def test_a_row_comes_back_as_it_was_put_with_its_id(store: Store) -> None:
    machine = await put(store, MACHINE)
    assert machine == msgspec.structs.replace(MACHINE, id=machine.id)
    assert machine.id > 0
    assert await all_of(store, MachineRow) == [machine]
    command = msgspec.structs.replace(COMMAND, rvm_id=machine.id)
    assert await put(store, command) == command
    assert await all_of(store, CommandRow) == [command]
    assert key_of(command) == "c"


async def test_a_row_put_once_is_no_news_the_second_time(store: Store) -> None:
    event = EventRow(at=NOW, code="x", actor="machine:1", rvm_id=1, params={}, boot_id="b", seq=4)
    first = await put(store, event, once=True)
    assert first.id > 0
    assert await put(store, event, once=True) is None
    assert await all_of(store, EventRow) == [first]
    await store.write(insert(CounterRow(name="n", value=1), once=True, must="version"))
    assert await missing(store, insert(CounterRow(name="n", value=2), once=True, must="version")) == "version"


async def test_a_row_put_over_another_takes_its_place_but_for_what_stays(store: Store) -> None:
    zone = ZoneRow(device_id="d", current_timezone="Asia/Jakarta", created_at=NOW, updated_at=NOW, restart=("a",))
    first = await put(store, zone)
    newer = msgspec.structs.replace(zone, current_timezone="Asia/Makassar", created_at=after(9), updated_at=after(9))
    stored = await put(store, newer, over=("current_timezone", "updated_at"))
    assert stored == msgspec.structs.replace(newer, id=first.id, created_at=NOW)
    assert await all_of(store, ZoneRow) == [stored]


async def test_a_boot_that_is_there_comes_back_with_its_mark(store: Store) -> None:
    machine = await put(store, MACHINE)
    boot = await put(store, BootRow(rvm_id=machine.id, boot_id="b", last_used_at=NOW), over=("last_used_at",))
    await store.write(update(BootRow, boot.id, {"last_seq": 7}))
    again = await put(store, BootRow(rvm_id=machine.id, boot_id="b", last_used_at=after(1)), over=("last_used_at",))
    assert again == msgspec.structs.replace(boot, last_seq=7, last_used_at=after(1))


async def test_rows_that_belong_to_a_new_one_name_it(store: Store) -> None:
    machine = await put(store, MACHINE)
    user = UserRow(email="e", name="n", role="technician", created_at=NOW, updated_at=NOW)
    (result,) = await store.write(insert(user))
    (own,) = belonging((UserMachineRow(user_id=0, rvm_id=machine.id),), user, result)
    assert own == UserMachineRow(user_id=result.rows[0]["id"], rvm_id=machine.id)
    status = StatusRow(rvm_id=0, status="active", capacity=0, since=NOW, by="x")
    (result,) = await store.write(insert(msgspec.structs.replace(MACHINE, device_id="e", name="m")))
    assert belonging((status,), MACHINE, result) == [msgspec.structs.replace(status, rvm_id=result.rows[0]["id"])]


async def test_only_what_is_named_changes_and_only_where_the_conditions_hold(store: Store) -> None:
    machine = await put(store, MACHINE)
    fence = ("connection_epoch", "<=", 4)
    assert await changed(store, MachineRow, machine.id, {"connection_epoch": 4, "ntp": True}, fence) == 1
    assert (
        await changed(
            store, MachineRow, machine.id, {"connection_epoch": 3, "ntp": False}, ("connection_epoch", "<=", 3)
        )
        == 0
    )
    assert await all_of(store, MachineRow) == [msgspec.structs.replace(machine, connection_epoch=4, ntp=True)]
    assert await changed(store, MachineRow, machine.id, {"close_reason": "x"}, ("close_reason", "=", None)) == 1
    assert await changed(store, MachineRow, machine.id, {"close_reason": "y"}, ("close_reason", "=", None)) == 0
    assert await changed(store, MachineRow, None, {"capacity": 5}, ("status", "=", "active"), ("capacity", "<", 5)) == 1
    assert await changed(store, MachineRow, None, {"hardware": None}) == 1
    assert await missing(store, update(MachineRow, 99, {"ntp": True}, must="id")) == "id"


async def test_no_values_are_a_guard(store: Store) -> None:
    machine = await put(store, MACHINE)
    assert await changed(store, MachineRow, machine.id, {}, ("name", "=", "n"), must="name") == 1
    assert await all_of(store, MachineRow) == [machine]
    assert await missing(store, update(MachineRow, machine.id, {}, (("name", "=", "m"),), must="name")) == "name"


async def test_two_conditions_on_one_column(store: Store) -> None:
    await put(store, MACHINE)
    between = (("status_since", ">=", NOW), ("status_since", "<", after(1)))
    assert await changed(store, MachineRow, None, {"capacity": 1}, *between) == 1
    between = (("status_since", ">", NOW), ("status_since", "<", after(1)))
    assert await changed(store, MachineRow, None, {"capacity": 2}, *between) == 0


async def test_a_row_ends_once_and_the_same_end_may_be_repeated_where_that_is_welcome(store: Store) -> None:
    machine = await put(store, MACHINE)
    await put(store, msgspec.structs.replace(COMMAND, rvm_id=machine.id))
    end = update(CommandRow, "c", {"state": "failed", "error": {"code": "x"}}, while_open=True, must="state")
    await store.write(end)
    await store.write(end)
    other = update(CommandRow, "c", {"state": "succeeded"}, while_open=True, must="state")
    assert await missing(store, other) == "state"
    assert await missing(store, update(CommandRow, "c", {"cancel_by": "x"}, while_open=True, must="state")) == "state"
    session = await put(store, RemoteSessionRow(rvm_id=machine.id, start_time=NOW, created_at=NOW))
    end = update(RemoteSessionRow, session.id, {"status": "ended"}, while_open=True, must="status")
    await store.write(end)
    assert await missing(store, end) == "status"


async def test_rows_are_deleted_by_key_or_by_what_holds(store: Store) -> None:
    machine = await put(store, MACHINE)
    for place in range(3):
        await put(store, msgspec.structs.replace(COMMAND, id=str(place), rvm_id=machine.id, issued_at=after(place)))
    await store.write(delete(CommandRow, "1", must="id"))
    assert await missing(store, delete(CommandRow, "1", must="id")) == "id"
    await store.write(delete(CommandRow, None, (("rvm_id", "=", machine.id), ("issued_at", "<", after(1)))))
    assert [row.id for row in await all_of(store, CommandRow)] == ["2"]
    await store.write(delete(CommandRow, "1"))


async def test_rows_follow_a_machine_by_what_it_has_in_their_column(store: Store) -> None:
    machine = await put(store, MACHINE)
    for device_id in ("d", "other"):
        await put(store, ZoneRow(device_id=device_id, current_timezone="UTC", created_at=NOW, updated_at=NOW))
    await store.write(update(ZoneRow, None, {"device_id": "new"}, (("device_id", "of", machine.id),)))
    assert [zone.device_id for zone in await all_of(store, ZoneRow)] == ["new", "other"]


async def test_a_recording_moves_only_from_the_state_it_should_be_in(store: Store) -> None:
    recording = await put(
        store,
        RecordingRow(
            session_id=1, rvm_id=1, machine_name="m", user_id=1, user_name="u", state="recording", started_at=NOW,
            input_recorded=True, cols=80, rows=24,
        ),
    )  # fmt: skip
    end = update(RecordingRow, recording.id, {"state": "waiting"}, (("state", "=", "recording"),), must="recording")
    await store.write(end)
    assert await missing(store, end) == "recording"
