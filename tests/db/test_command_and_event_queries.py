"""Every query on commands and on the record of events, on both databases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from db.engine.row_writes import insert, update
from db.engine.statements import Write
from db.engine.store import Store
from db.errors import Conflict
from db.queries import commands, events
from db.records import CommandRow, EventRow
from db.schema import COMMAND_STATES
from tests.support.database_rows import NOW, add_machine, after


def draft(command_id: str, rvm_id: int, issued: float = 0, **changes: Any) -> Write:
    values: dict[str, Any] = {
        "id": command_id,
        "rvm_id": rvm_id,
        "name": "set_status",
        "args": {"status": "maintenance", "nested": [1, None, {"a": "ü"}]},
        "state": "queued",
        "issued_by": "user:1",
        "issued_at": after(issued),
        "expires_at": after(issued + 60),
    }
    return insert(CommandRow(**{**values, **changes}))


def moved(command_id: str, state: str, **changes: Any) -> Write:
    values = {"state": state, "sent_at": after(1), **changes}
    return update(CommandRow, command_id, values, while_open=True, must="state")


def cancel_asked(command_id: str, by: str, at: datetime) -> Write:
    return update(CommandRow, command_id, {"cancel_by": by, "cancel_at": at}, while_open=True, must="state")


async def test_a_deadline_moves_only_when_the_move_says_so(store: Store) -> None:
    await store.write(draft("a", await add_machine(store)))
    for change, expected in (({}, 60), ({"expires_at": after(300)}, 300), ({}, 300)):
        await store.write(moved("a", "running", **change))
        row = await commands.find_command(store, "a")
        assert row is not None
        assert row.expires_at == after(expected)


async def test_a_command_comes_back_as_it_was_drafted(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(draft("a", rvm_id, idempotency_key="key-1"))
    row = await commands.find_command(store, "a")
    assert row is not None
    assert (row.args, row.state, row.issued_at, row.expires_at) == (
        {"status": "maintenance", "nested": [1, None, {"a": "ü"}]}, "queued", NOW, after(60),
    )  # fmt: skip
    assert (row.sent_at, row.progress, row.result, row.error) == (None, None, None, None)
    assert await commands.find_by_idempotency_key(store, rvm_id, "key-1") == row
    assert await commands.find_by_idempotency_key(store, rvm_id + 1, "key-1") is None
    assert await commands.find_command(store, "b") is None


async def test_a_move_is_stored_with_what_it_brought(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(draft("a", rvm_id))
    await store.write(moved("a", "running", progress={"phase": "x", "done": 1.5}))
    row = await commands.find_command(store, "a")
    assert row is not None
    assert (row.state, row.sent_at, row.progress) == ("running", after(1), {"phase": "x", "done": 1.5})


async def test_a_command_ends_once_and_the_same_end_may_be_repeated(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(draft("a", rvm_id))
    await store.write(moved("a", "succeeded", finished_at=after(2), result={"ok": True}))
    await store.write(moved("a", "succeeded", finished_at=after(2), result={"ok": True}))
    for state in ("failed", "running"):
        with pytest.raises(Conflict) as caught:
            await store.write(moved("a", state))
        assert (caught.value.column, caught.value.kind) == ("state", "missing")
    row = await commands.find_command(store, "a")
    assert row is not None
    assert (row.state, row.result) == ("succeeded", {"ok": True})


async def test_who_wants_it_stopped_is_kept_whatever_the_command_became_meanwhile(store: Store) -> None:
    rvm_id = await add_machine(store)
    await store.write(draft("a", rvm_id), draft("b", rvm_id))
    await store.write(moved("a", "running"))
    await store.write(cancel_asked("a", by="user:2", at=after(3)))
    await store.write(moved("a", "succeeded", finished_at=after(4)))
    row = await commands.find_command(store, "a")
    assert row is not None
    assert (row.state, row.cancel_by, row.cancel_at) == ("succeeded", "user:2", after(3))
    await store.write(moved("b", "cancelled", finished_at=after(5), cancel_by="user:1", cancel_at=after(5)))
    row = await commands.find_command(store, "b")
    assert row is not None
    assert (row.state, row.cancel_by, row.cancel_at) == ("cancelled", "user:1", after(5))
    for ended in ("a", "b", "unknown"):
        with pytest.raises(Conflict) as caught:
            await store.write(cancel_asked(ended, by="user:3", at=after(6)))
        assert (caught.value.column, caught.value.kind) == ("state", "missing")


async def test_the_commands_of_a_group_are_found_by_machine(store: Store) -> None:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")
    await store.write(draft("a", south, group_id="g"), draft("b", north, group_id="g", reason="why"))
    await store.write(draft("c", north, group_id="other"), draft("d", north))
    found = await commands.commands_of_group(store, "g")
    assert [(row.id, row.rvm_id, row.reason) for row in found] == [("b", north, "why"), ("a", south, None)]
    assert await commands.commands_of_group(store, "none") == []


async def test_pending_commands_of_all_machines_are_found(store: Store) -> None:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")
    for number, state in enumerate(COMMAND_STATES):
        await store.write(draft(state, north if number % 2 else south, issued=-number, state=state))
    found = [row.id for row in await commands.pending_commands(store)]
    assert found == ["running", "accepted", "sent", "queued"]


async def test_recent_commands_come_in_pages_newest_first(store: Store) -> None:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")
    for number in range(7):
        await store.write(draft(f"c{number}", north, issued=number // 2))
    await store.write(draft("other", south))
    seen: list[str] = []
    before = None
    while page := await commands.recent_commands(store, north, 3, before):
        seen += [row.id for row in page]
        before = (page[-1].issued_at, page[-1].id)
    assert seen == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]


async def test_an_event_comes_back_as_it_happened(store: Store) -> None:
    (result,) = await store.write(
        insert(
            EventRow(
                at=NOW,
                code="status.changed",
                actor="user:1",
                rvm_id=7,
                params={"a": None},
                before={"s": 1},
                after={"s": 2},
            )
        )
    )
    row = await events.find_event(store, result.rows[0]["id"])
    assert row is not None
    assert (row.at, row.code, row.actor, row.rvm_id, row.params) == (NOW, "status.changed", "user:1", 7, {"a": None})
    assert (row.before, row.after, row.boot_id, row.seq) == ({"s": 1}, {"s": 2}, None, None)
    assert await events.find_event(store, 10**6) is None


async def test_an_event_a_machine_reports_again_is_one_event(store: Store) -> None:
    def report(seq: int, boot: str = "boot-1") -> Write:
        return insert(
            EventRow(at=NOW, code="bin.full", actor="machine:7", rvm_id=7, params={}, boot_id=boot, seq=seq), once=True
        )

    results = await store.write(report(1), report(1), report(2), report(1, "boot-2"))
    assert [len(result.rows) for result in results] == [1, 0, 1, 1]
    assert len(await events.list_events(store, limit=10)) == 3


async def test_each_filter_narrows_the_list_of_events(store: Store) -> None:
    for number, (code, actor, rvm_id) in enumerate(
        [("a", "user:1", 1), ("b", "user:1", 2), ("a", "clock", None), ("a", "user:2", 2), ("c", "user:2", 3)]
    ):
        await store.write(insert(EventRow(at=after(number), code=code, actor=actor, rvm_id=rvm_id, params={})))

    async def numbers(**filters: Any) -> list[int]:
        rows = await events.list_events(store, events.EventFilters(**filters), limit=10)
        return [int((row.at - NOW).total_seconds()) for row in rows]

    assert await numbers() == [4, 3, 2, 1, 0], "newest first"
    assert await numbers(rvm_ids={2, 3}) == [4, 3, 1]
    assert await numbers(rvm_ids=frozenset()) == []
    assert await numbers(of="fleet", codes=["a", "c"]) == [2]
    assert await numbers(codes=["a", "c"]) == [4, 3, 2, 0]
    assert await numbers(actor="user:1") == [1, 0]
    assert await numbers(start=after(1), end=after(3)) == [2, 1]
    assert await numbers(rvm_ids=[2], codes=["a"], actor="user:2", start=NOW) == [3]
