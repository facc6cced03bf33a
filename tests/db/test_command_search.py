"""Finding commands over all machines, on both databases."""

from __future__ import annotations

import pytest

from db.engine.store import Store
from db.queries.commands import CommandFilters, CommandMark, count_states, search
from tests.db.test_command_and_event_queries import draft
from tests.support.database_rows import add_machine


async def stock(store: Store) -> tuple[int, int]:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")
    await store.write(draft("a", north, issued=1, group_id="g", state="succeeded"))
    await store.write(draft("b", south, issued=2, group_id="g", state="failed", name="reboot"))
    await store.write(draft("c", north, issued=2, group_id="g", issued_by="user:2"))
    await store.write(draft("d", south, issued=3, name="ping"))
    return north, south


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (CommandFilters(), "dcba"),
        (CommandFilters(states=("succeeded", "failed")), "ba"),
        (CommandFilters(states=()), ""),
        (CommandFilters(name="reboot"), "b"),
        (CommandFilters(group_id="g"), "cba"),
        (CommandFilters(group_id="g", states=("queued",)), "c"),
        (CommandFilters(issued_by="user:2"), "c"),
        (CommandFilters(rvm_ids=()), ""),
        (CommandFilters(group_id="' OR 1=1"), ""),
    ],
)
async def test_each_filter_narrows(store: Store, filters: CommandFilters, found: str) -> None:
    await stock(store)
    assert "".join(row.id for row in await search(store, filters, 10)) == found


async def test_pages_follow_each_other_also_within_one_instant(store: Store) -> None:
    north, _ = await stock(store)
    seen, before = "", None
    while page := await search(store, CommandFilters(), 1, before):
        seen += page[0].id
        before = CommandMark(page[0].issued_at, page[0].id)
    assert seen == "dcba"
    assert [row.id for row in await search(store, CommandFilters(rvm_ids=(north,)), 10)] == ["c", "a"]


async def test_a_group_is_summed_up(store: Store) -> None:
    north, _ = await stock(store)
    assert await count_states(store, CommandFilters(group_id="g")) == {"succeeded": 1, "failed": 1, "queued": 1}
    assert await count_states(store, CommandFilters(group_id="g", rvm_ids=(north,))) == {"succeeded": 1, "queued": 1}
