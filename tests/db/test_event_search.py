"""Searching the record of events, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from db.engine.row_writes import insert
from db.engine.store import Store
from db.queries import events
from db.queries.events import EventFilters, EventMark, search
from db.records import EventRow
from tests.support.database_rows import NOW, after


async def happen(store: Store, number: int, code: str = "status.changed", actor: str = "clock", **more: Any) -> None:
    await store.write(insert(EventRow(at=after(number), code=code, actor=actor, params={}, **more)))


def numbers(page: events.EventPage) -> list[int]:
    return [int((row.at - NOW).total_seconds()) for row in page.rows]


async def test_pages_follow_each_other_in_both_directions(store: Store) -> None:
    for number in range(9):
        await happen(store, number // 2, rvm_id=number)

    def ids(page: events.EventPage) -> list[int | None]:
        return [row.rvm_id for row in page.rows]

    first = await search(store, EventFilters(), 4)
    assert (ids(first), first.more, first.reached) == ([8, 7, 6, 5], True, None)
    second = await search(store, EventFilters(), 4, before=EventMark(first.rows[-1].at, first.rows[-1].id))
    assert ids(second) == [4, 3, 2, 1]
    last = await search(store, EventFilters(), 4, before=EventMark(second.rows[-1].at, second.rows[-1].id))
    assert (ids(last), last.more) == ([0], False)
    back = await search(store, EventFilters(), 4, after=EventMark(last.rows[0].at, last.rows[0].id))
    assert (ids(back), back.more) == ([4, 3, 2, 1], True)
    newest = await search(store, EventFilters(), 4, after=EventMark(back.rows[0].at, back.rows[0].id))
    assert (ids(newest), newest.more) == ([8, 7, 6, 5], False)


async def test_kinds_and_actors_narrow(store: Store) -> None:
    said = [
        ("status.changed", "user:1"),
        ("sign_in.failed", "system"),
        ("signXin.no", "machine:1"),
        ("user.added", "user:2"),
    ]
    for number, (code, actor) in enumerate(said):
        await happen(store, number, code, actor, rvm_id=None if number % 2 else number)

    async def found(**filters: Any) -> list[int]:
        return numbers(await search(store, EventFilters(**filters), 10))

    assert await found(kinds=["sign_in"]) == [1], "an underscore is no wildcard"
    assert await found(kinds=["status", "user"]) == [3, 0]
    assert await found(kinds=[]) == []
    assert await found(actor="user") == [3, 0]
    assert await found(actor="machine") == [2]
    assert await found(actor="user:2") == [3]
    assert await found(of="machines") == [2, 0]
    assert await found(rvm_ids={0, 2}, kinds=["status"]) == [0]
    assert await found(codes=["user.added"], start=after(1), end=after(3)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("SENSOR", [0]), ("größe", [1]), ("100%", [2]), ("_", []), ("user:7", [3]), ("status", [3, 2, 1, 0]), ('"q', [4])],
)
async def test_text_is_found_wherever_it_stands(store: Store, text: str, expected: list[int]) -> None:
    params: list[dict[str, Any]] = [{"reason": "Ganti sensor"}, {"größe": 1}, {"was": "100%"}, {}]
    for number, each in enumerate(params):
        actor = "user:7" if number == 3 else "clock"
        await store.write(insert(EventRow(at=after(number), code="status.changed", actor=actor, params={}, after=each)))
    await store.write(insert(EventRow(at=after(4), code="a.b", actor="clock", params={"x": 'say "quiet"'})))
    assert numbers(await search(store, EventFilters(text=text), 10)) == expected


async def test_names_that_no_row_holds_are_found_too(store: Store) -> None:
    await happen(store, 0, actor="user:3", rvm_id=8)
    await happen(store, 1, actor="user:4", rvm_id=9)
    assert numbers(await search(store, EventFilters(text="budi", text_actors=["user:4"]), 10)) == [1]
    assert numbers(await search(store, EventFilters(text="rvm-008", text_rvms=[8]), 10)) == [0]


async def test_a_long_record_is_searched_in_stretches_and_says_how_far_it_came(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STRETCH", 5)
    monkeypatch.setattr(events, "MOST", 2)
    for number in range(30):
        await happen(store, number, "rare.one" if number in (3, 17, 27) else "common.one")
    rare = EventFilters(kinds=["rare"])
    page = await search(store, rare, 10)
    assert (numbers(page), page.more) == ([27], True)
    assert page.reached is not None
    assert page.reached.at == after(20)
    seen = numbers(page)
    place: EventMark | None = page.reached
    while place is not None:
        page = await search(store, rare, 10, before=place)
        seen, place = seen + numbers(page), page.reached
    assert (seen, page.more) == ([27, 17, 3], False)
    page = await search(store, rare, 10, after=EventMark(after(3), 4))
    assert page.reached is not None
    assert numbers(page) == []
    assert numbers(await search(store, rare, 10, after=page.reached)) == [17]
    one = await search(store, rare, 1)
    assert (numbers(one), one.more) == ([27], True)
