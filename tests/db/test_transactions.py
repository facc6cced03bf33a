"""A write is one transaction: all of it or nothing, and one caller's failure is only that caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest
import sqlalchemy as sa

from db.engine.row_writes import delete, insert, update
from db.engine.statements import Statement, Write, WriteResult
from db.engine.store import Store
from db.errors import Conflict, Rejected, StoreError
from db.queries import events, machines
from db.records import CommandRow, EventRow, MachineRow, StatusRow, UserMachineRow, UserRow
from db.schema import events as events_table
from db.schema import reverse_vending_machines
from tests.support.database_rows import NOW, add_machine, after, machine


async def names(store: Store) -> list[str]:
    return [row.name for row in await machines.all_machines(store)]


def event(code: str, rvm_id: int | None = None) -> Write:
    return insert(EventRow(at=NOW, code=code, actor="system", rvm_id=rvm_id, params={}))


async def test_all_statements_of_a_write_are_stored_and_answer_in_order(store: Store) -> None:
    first, second, third = await store.write(machine("north"), machine("south"), event("machine.added"))
    assert first.rows[0]["id"] < second.rows[0]["id"]
    assert third.rows[0]["id"] >= 1
    assert await names(store) == ["north", "south"]


async def test_when_one_statement_fails_nothing_of_its_write_is_stored(store: Store) -> None:
    await store.write(machine("north"))
    with pytest.raises(Conflict):
        await store.write(event("machine.added"), machine("south"), machine("north", device_id="other"))
    assert await names(store) == ["north"]
    assert await events.list_events(store, limit=10) == []


async def test_a_later_statement_can_use_an_id_an_earlier_one_made(store: Store) -> None:
    def with_id(results: Sequence[WriteResult]) -> Sequence[Statement]:
        return [event("machine.added", results[0].rows[0]["id"]), event("second")]

    results = await store.write(machine("north"), with_id, event("third"))
    assert len(results) == 4
    codes = {row.code: row.rvm_id for row in await events.list_events(store, limit=10)}
    assert codes == {"machine.added": results[0].rows[0]["id"], "second": None, "third": None}


async def test_a_failing_function_among_the_steps_undoes_the_write_and_reaches_the_caller(store: Store) -> None:
    def breaks(results: Sequence[WriteResult]) -> Sequence[Statement]:
        raise KeyError("a bug of the caller")

    with pytest.raises(KeyError):
        await store.write(machine("north"), breaks)
    await store.write(machine("south"))
    assert await names(store) == ["south"]


async def test_of_many_writes_at_once_only_the_bad_ones_fail(store: Store) -> None:
    await store.write(machine("taken"))
    writes = [
        store.write(event(f"code-{n}"), machine("taken" if n % 7 == 3 else f"m-{n}", device_id=f"d-{n}"))
        for n in range(100)
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    for n, outcome in enumerate(outcomes):
        assert isinstance(outcome, Conflict if n % 7 == 3 else list), (n, outcome)
    good = [n for n in range(100) if n % 7 != 3]
    assert sorted(await names(store)) == sorted(["taken", *(f"m-{n}" for n in good)])
    assert {row.code for row in await events.list_events(store, limit=200)} == {f"code-{n}" for n in good}


async def test_writes_take_effect_in_the_order_they_were_made(store: Store) -> None:
    rvm_id = await add_machine(store)
    writes = [store.write(update(MachineRow, rvm_id, {"location_description": str(n)}, must="id")) for n in range(50)]
    await asyncio.gather(*writes)
    (row,) = await machines.all_machines(store)
    assert row.location_description == "49"


async def test_a_cancelled_caller_harms_nobody_else(store: Store) -> None:
    tasks = [asyncio.ensure_future(store.write(machine(f"m-{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.write(machine("last"))
    assert {f"m-{n}" for n in range(1, 20, 2)} | {"last"} <= set(await names(store))


async def test_plain_sqlalchemy_statements_are_welcome(store: Store) -> None:
    await store.write(machine("north"))
    update = sa.update(reverse_vending_machines).values(capacity=40).where(reverse_vending_machines.c.name == "north")
    (result,) = await store.write(update)
    assert result.rowcount == 1
    gone = sa.delete(reverse_vending_machines).where(reverse_vending_machines.c.name.in_(["north", "x"]))
    (result,) = await store.write(gone.returning(reverse_vending_machines.c.capacity))
    assert result.rows == [{"capacity": 40}]


async def test_a_percent_sign_in_a_value_or_a_write_is_only_a_character(store: Store) -> None:
    await store.write(event("half"), event("50%"))
    plain = sa.select(events_table.c.code).where(events_table.c.code.like("%50/%", escape="/"))
    assert [row["code"] for row in await store.fetch_all(plain)] == ["50%"]
    of_half = sa.delete(reverse_vending_machines).where(sa.text("name = '50%'"))
    _, result = await store.write(machine("50%"), of_half)
    assert result.rowcount == 1


@pytest.mark.parametrize(
    ("second", "column"),
    [
        ({"name": "north"}, "name"),
        ({"device_id": "device-north"}, "device_id"),
        ({"api_key": "hash-north"}, "api_key"),
        ({"api_key_prefix": "prefix-north"}, "api_key_prefix"),
    ],
)
async def test_a_value_that_is_taken_is_named(store: Store, second: dict[str, str], column: str) -> None:
    await store.write(machine("north"))
    with pytest.raises(Conflict) as caught:
        await store.write(machine("south", **second))
    assert (caught.value.column, caught.value.kind) == (column, "unique")


async def test_what_a_row_refers_to_must_be_there_and_is_named(store: Store) -> None:
    status = insert(StatusRow(rvm_id=99, status="full", capacity=1, since=NOW, by="system"))
    with pytest.raises(Conflict) as caught:
        await store.write(status)
    assert (caught.value.column, caught.value.kind) == ("rvm_id", "reference")
    (made,) = await store.write(
        insert(UserRow(email="a@b.c", name="A", role="technician", created_at=NOW, updated_at=NOW))
    )
    with pytest.raises(Conflict) as caught:
        await store.write(insert(UserMachineRow(user_id=made.rows[0]["id"], rvm_id=99)))
    assert (caught.value.column, caught.value.kind) == ("rvm_id", "reference")


async def test_changing_what_is_not_there_is_a_conflict_and_undoes_the_write(store: Store) -> None:
    with pytest.raises(Conflict) as caught:
        await store.write(event("machine.edited"), update(MachineRow, 5, {"name": "x"}, must="id"))
    assert (caught.value.column, caught.value.kind) == ("id", "missing")
    assert await events.list_events(store, limit=10) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "no\x00rth"},
        {"name": "n" * 101},
        {"name": "half a pair \ud800"},
        {"name": 7},
        {"simulated": "perhaps"},
        {"created_at": NOW.replace(tzinfo=None)},
        {"created_at": "yesterday"},
        {"created_at": datetime.fromisoformat("0001-01-01T00:00:00+14:00")},
        {"created_at": datetime.fromisoformat("9999-12-31T23:59:59-14:00")},
        {"name": None},
    ],
)
async def test_data_that_cannot_be_stored_is_rejected(store: Store, changes: dict[str, object]) -> None:
    with pytest.raises(Rejected):
        await store.write(event("before"), machine("north", **changes))
    assert await names(store) == []
    assert await events.list_events(store, limit=10) == []


@pytest.mark.parametrize(
    "values",
    [
        {"capacity": 101},
        {"capacity": 2**31},
        {"config_version": 2**63},
        {"status": "dancing"},
        {"clock_offset_s": float("nan")},
        {"hardware": {"size": float("inf")}},
        {"hardware": {"odd": {1, 2}}},
    ],
)
async def test_values_out_of_range_are_rejected(store: Store, values: dict[str, object]) -> None:
    rvm_id = await add_machine(store)
    with pytest.raises(Rejected):
        await store.write(update(MachineRow, rvm_id, values, must="id"))
    (row,) = await machines.all_machines(store)
    assert row.updated_at == NOW


async def test_text_of_every_kind_comes_back_unchanged(store: Store) -> None:
    rvm_id = await add_machine(store)
    odd = "'; DROP TABLE users; -- \\ \" % %s :x $1 ? \u202e\x1b[31m\r\n 🍾 ü"
    hardware = {"a'b": [odd, None, True, 1.5, {"\u0000": "\x00"}]}
    await store.write(update(MachineRow, rvm_id, {"location_description": odd, "hardware": hardware}))
    (row,) = await machines.all_machines(store)
    assert (row.location_description, row.hardware) == (odd, hardware)


@pytest.mark.parametrize("microsecond", [0, 1, 123456, 999999])
@pytest.mark.parametrize("year", [1970, 2026, 2100])
async def test_instants_are_exact_to_the_microsecond(store: Store, year: int, microsecond: int) -> None:
    rvm_id = await add_machine(store)
    at = NOW.replace(year=year, microsecond=microsecond)
    await store.write(update(MachineRow, rvm_id, {"last_seen_at": at}))
    (row,) = await machines.all_machines(store)
    assert row.last_seen_at == at


async def test_ids_of_machines_are_never_given_twice(store: Store) -> None:
    first = await add_machine(store)
    await store.write(delete(MachineRow, first))
    assert await add_machine(store) > first


async def test_a_repeated_idempotency_key_blames_the_key(store: Store) -> None:
    rvm_id = await add_machine(store)

    def draft(name: str) -> Write:
        return insert(
            CommandRow(
                id=name, rvm_id=rvm_id, name="ping", args={}, state="queued", issued_by="user:1", issued_at=NOW,
                expires_at=after(60), idempotency_key="again",
            )
        )  # fmt: skip

    await store.write(draft("one"))
    with pytest.raises(Conflict) as caught:
        await store.write(draft("two"))
    assert caught.value.column == "idempotency_key"


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError):
        await store.write(machine("north"))


async def test_a_statement_that_cannot_be_compiled_once_fails_its_caller_alone(store: Store) -> None:
    """A list as the value of an IN is such: it must not end whoever commits for all."""
    by_list = sa.delete(reverse_vending_machines).where(
        reverse_vending_machines.c.id.in_(sa.bindparam("key_ids", expanding=True))
    )
    wrong, right = await asyncio.gather(
        store.write(Write(by_list, {"key_ids": [1, 2]})), store.write(machine("south")), return_exceptions=True
    )
    assert isinstance(wrong, Rejected)
    assert not isinstance(right, BaseException)
