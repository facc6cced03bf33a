"""What is over, on both databases: an outage is one line, and pages neither skip nor repeat."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from db.engine.row_writes import insert
from db.engine.store import Store
from db.queries import troubles
from db.queries.troubles import EndedTrouble
from db.trouble_records import TroubleRow
from tests.support.database_rows import add_machine, after

APART, HOUR = timedelta(seconds=60), 3600.0


async def machines(store: Store, count: int) -> list[int]:
    return [await add_machine(store, f"machine {number}") for number in range(count)]


async def was(store: Store, rvm_id: int, began: float, ended: float, cause: str = "offline") -> int:
    """Its number."""
    row = TroubleRow(
        rvm_id=rvm_id, cause=cause, began_at=after(began), noticed_at=after(began), ended_at=after(ended)
    )  # fmt: skip
    (result,) = await store.write(insert(row))
    return int(result.rows[0]["id"])


async def over(store: Store, limit: int = 50, reach: Collection[int] | None = None, **where: Any) -> list[EndedTrouble]:
    return await troubles.over(store, after(0), limit, reach, apart=APART, many=3, least=APART, **where)


def numbers(found: list[EndedTrouble]) -> list[tuple[int, int]]:
    return [(one.row.id, one.together.size if one.together else 1) for one in found]


async def test_machines_that_were_offline_together_are_one_line(store: Store) -> None:
    a, b, c, d = await machines(store, 4)
    hot = await was(store, a, 10, 20, "hot")
    first = [await was(store, rvm_id, at, HOUR + at) for rvm_id, at in ((a, 0), (b, 60), (c, 119))]
    late = await was(store, d, 180, HOUR)
    two = [await was(store, rvm_id, 2 * HOUR, 3 * HOUR) for rvm_id in (a, b)]
    found = await over(store)
    assert numbers(found) == [(two[1], 1), (two[0], 1), (first[2], 3), (late, 1), (hot, 1)]
    assert found[2].together == troubles.Together(3, after(0), after(119), after(HOUR + 119))
    assert sorted(await troubles.went_between(store, after(0), after(119), after(0), None)) == [
        (a, None), (b, None), (c, None)
    ]  # fmt: skip


async def test_an_outage_is_of_the_machines_that_somebody_may_see(store: Store) -> None:
    reached = await machines(store, 3)
    for rvm_id in reached:
        await was(store, rvm_id, 0, HOUR)
    assert [size for _, size in numbers(await over(store, reach=reached))] == [3]
    assert [size for _, size in numbers(await over(store, reach=reached[:2]))] == [1, 1]
    assert len(await troubles.went_between(store, after(0), after(1), after(0), reached[:2])) == 2


async def test_what_goes_on_or_ended_too_long_ago_is_not_of_it(store: Store) -> None:
    a, b, c = await machines(store, 3)
    await store.write(insert(TroubleRow(rvm_id=a, cause="offline", began_at=after(0), noticed_at=after(0))))
    await was(store, b, 0, -1)
    kept = await was(store, c, 0, HOUR)
    assert numbers(await over(store)) == [(kept, 1)]


async def test_its_list_is_found_by_any_of_its_machines(store: Store) -> None:
    gone = [await was(store, rvm_id, number, HOUR) for number, rvm_id in enumerate(await machines(store, 5))]
    other = await was(store, 1, 2 * HOUR, 3 * HOUR)
    for one in gone:
        assert numbers(await over(store, of=one)) == [(number, 5) for number in reversed(gone)]
    place = (await over(store, of=gone[0]))[1].place
    assert numbers(await over(store, 2, of=gone[0], after=place)) == [(gone[2], 5), (gone[1], 5)]
    assert await over(store, of=other) == [], "alone"


async def test_pages_neither_skip_nor_repeat(store: Store) -> None:
    fleet = await machines(store, 40)
    for round_ in range(4):
        start = round_ * 2 * HOUR
        for number, rvm_id in enumerate(fleet):
            await was(store, rvm_id, start + number, start + HOUR)
            if number % 10 == 0:
                await was(store, rvm_id, start + number, start + HOUR, "hot")
    whole = numbers(await over(store, 1000))
    assert [size for _, size in whole if size > 1] == [40] * 4
    assert len(whole) == 4 + 4 * 4
    paged: list[EndedTrouble] = []
    while page := await over(store, 3, after=paged[-1].place if paged else None):
        paged += page
        await was(store, fleet[0], 20 * HOUR, (21 + len(paged)) * HOUR, "hot")
    assert numbers(paged) == whole, "also while others end"


async def test_what_ended_last_stands_first_however_early_it_began(store: Store) -> None:
    a, b, *together = await machines(store, 5)
    long = await was(store, a, 0, 9 * HOUR, "hot")
    gone = [await was(store, rvm_id, 10, (2 + number) * HOUR) for number, rvm_id in enumerate(together)]
    short = await was(store, b, 3 * HOUR, 3.5 * HOUR, "hot")
    assert numbers(await over(store)) == [(long, 1), (gone[2], 3), (short, 1)]
    paged: list[EndedTrouble] = []
    while page := await over(store, 1, after=paged[-1].place if paged else None):
        paged += page
    assert numbers(paged) == [(long, 1), (gone[2], 3), (short, 1)]
    assert [one for one, _ in numbers(await over(store, of=gone[0]))] == gone[::-1]


async def test_a_machine_that_connected_when_it_was_added_takes_no_place(store: Store) -> None:
    (a,) = await machines(store, 1)
    for number in range(3):
        await was(store, a, number * HOUR, number * HOUR + 59, "never")
    kept = await was(store, a, 0, 60, "never")
    assert numbers(await over(store, 1)) == [(kept, 1)]
