"""Samples: stored once, marked as stored in the same transaction, read back in buckets."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from db.engine.row_writes import delete
from db.engine.store import Store
from db.errors import StoreError
from db.queries import boots, events, samples, statuses
from db.records import MachineRow
from db.rows import METRICS, SampleRow
from db.schema import system_metrics
from tests.support.compilations import compilations
from tests.support.database_rows import NOW, add_machine, after, open_boot, sample


async def stored(store: Store) -> list[dict[str, Any]]:
    return [dict(row) for row in await store.fetch_all(sa.select(system_metrics).order_by(system_metrics.c.id))]


async def machine_with_boot(store: Store, name: str = "north") -> tuple[int, int]:
    rvm_id = await add_machine(store, name)
    return rvm_id, (await open_boot(store, rvm_id, "boot-1", NOW)).id


async def test_a_sample_comes_back_as_it_was_given(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    readings: dict[str, Any] = {name: float(number) + 0.25 for number, name in enumerate(METRICS)}
    full = sample(rvm_id, 1, boot, **readings, throttled=True)
    empty = sample(rvm_id, 2, boot)
    await store.store_samples([full, empty._replace(clamped=True)])
    assert await samples.between(store, rvm_id, NOW, after(9), 10) == [full, empty._replace(clamped=True)]


async def test_a_sample_sent_twice_is_stored_once(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    rows = [sample(rvm_id, seq, boot, cpu_usage=float(seq)) for seq in range(1, 11)]
    await store.store_samples(rows[:6])
    await store.store_samples(rows[3:])
    await store.store_samples([*rows, *rows])
    assert [row["seq"] for row in await stored(store)] == list(range(1, 11))


async def test_ids_of_samples_increase_and_never_repeat(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    await store.store_samples([sample(rvm_id, seq, boot) for seq in range(1, 5)])
    await asyncio.gather(
        *(store.store_samples([sample(rvm_id, 10 * n + k, boot) for k in range(3)]) for n in range(1, 9))
    )
    rows = await stored(store)
    assert len({row["id"] for row in rows}) == len(rows) == 4 + 24
    assert [row["seq"] for row in rows[:4]] == [1, 2, 3, 4]


async def test_the_mark_of_a_boot_rises_with_its_samples_and_never_falls(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    other_id, other = await machine_with_boot(store, "south")
    await store.store_samples([sample(rvm_id, 5, boot), sample(other_id, 2, other), sample(rvm_id, 7, boot)])
    await store.store_samples([sample(rvm_id, 6, boot)])
    assert {row.id: row.last_seq for row in await boots.recent_boots(store, 9)} == {boot: 7, other: 2}
    again = await open_boot(store, rvm_id, "boot-1", after(5))
    assert (again.id, again.last_seq) == (boot, 7)


async def test_samples_without_numbers_are_known_by_their_time(store: Store) -> None:
    rvm_id = await add_machine(store)
    rows = [sample(rvm_id, 0, 0, at=after(n)) for n in (1, 2, 2, 3)]
    await store.store_samples(rows)
    assert [row["timestamp"] for row in await stored(store)] == [after(1), after(2), after(3)]


async def test_no_samples_are_no_work(store: Store) -> None:
    await store.store_samples([])
    assert await stored(store) == []


async def test_one_bad_batch_leaves_the_others_alone(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    bad = sample(rvm_id, 3, boot)._replace(timestamp=None)  # type: ignore[arg-type]
    outcomes = await asyncio.gather(
        store.store_samples([sample(rvm_id, 1, boot)]),
        store.store_samples([sample(rvm_id, 2, boot), bad]),
        store.store_samples([sample(rvm_id, 4, boot)]),
        return_exceptions=True,
    )
    assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False]
    assert [row["seq"] for row in await stored(store)] == [1, 4]


async def test_history_gives_least_mean_and_most_of_each_bucket(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    other, other_boot = await machine_with_boot(store, "south")
    rows = [
        sample(rvm_id, second, boot, cpu_usage=float(second), temperature=None if second < 60 else 50.0)
        for second in range(120)
    ]
    await store.store_samples([*rows, sample(other, 30, other_boot, cpu_usage=99.0)])
    first, second = await samples.history(store, rvm_id, NOW, after(120), 2)
    assert (first.start, first.count) == (NOW, 60)
    assert first.metrics == {"cpu_usage": (0.0, 29.5, 59.0)}
    assert (second.start, second.count) == (after(60), 60)
    assert second.metrics == {"cpu_usage": (60.0, 89.5, 119.0), "temperature": (50.0, 50.0, 50.0)}


@pytest.mark.parametrize("points", [1, 3, 7, 50, 1000])
async def test_history_counts_every_sample_once_in_at_most_as_many_buckets(store: Store, points: int) -> None:
    rvm_id, boot = await machine_with_boot(store)
    end = NOW + timedelta(seconds=50, microseconds=13)
    await store.store_samples([sample(rvm_id, seq, boot, cpu_usage=1.0) for seq in range(50)])
    buckets = await samples.history(store, rvm_id, NOW, end, points, ("cpu_usage",))
    assert sum(bucket.count for bucket in buckets) == 50
    assert len(buckets) <= points
    assert [bucket.start for bucket in buckets] == sorted(bucket.start for bucket in buckets)
    assert all(NOW <= bucket.start < end for bucket in buckets)


@pytest.mark.parametrize("piece_s", [1, 7, 60])
@pytest.mark.parametrize("points", [1, 3, 20])
async def test_a_history_read_in_pieces_is_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, piece_s: int, points: int
) -> None:
    rvm_id, boot = await machine_with_boot(store)
    rows = [
        sample(rvm_id, 3 * n, boot, cpu_usage=float(n * n % 17), temperature=None if n % 3 else float(n))
        for n in range(20)
        if n not in range(5, 9)
    ]
    await store.store_samples(rows)
    whole = await samples.history(store, rvm_id, NOW, after(61), points)
    monkeypatch.setattr(samples, "PIECE", timedelta(seconds=piece_s))
    pieces = await samples.history(store, rvm_id, NOW, after(61), points)
    assert [(b.start, b.count, b.measured) for b in pieces] == [(b.start, b.count, b.measured) for b in whole]
    for piece, one in zip(pieces, whole, strict=True):
        assert piece.metrics.keys() == one.metrics.keys()
        for name, spread in piece.metrics.items():
            assert spread == pytest.approx(one.metrics[name])


async def test_history_includes_its_start_and_not_its_end(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    await store.store_samples([sample(rvm_id, seq, boot, cpu_usage=1.0) for seq in (0, 10)])
    assert [b.count for b in await samples.history(store, rvm_id, NOW, after(10), 4)] == [1]
    assert await samples.history(store, rvm_id, NOW, NOW, 4) == []
    assert await samples.history(store, rvm_id, NOW, after(10), 0) == []


async def test_what_charts_and_alerts_read_is_compiled_once_whatever_machine_and_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = compilations(monkeypatch)

    async def read(machines: list[int], day: int, points: int) -> None:
        one, start, end = machines[0], after(86_400 * day), after(86_400 * (day + 25))
        await samples.history(store, one, start, end, points)
        await samples.spreads(store, machines, start, end, timedelta(minutes=points), ("cpu_usage",))
        await samples.newest_before(store, one, end)
        await samples.first_reaching(store, one, "cpu_usage", float(points), start, end)
        await samples.sides(store, machines, "temperature", (float(day), float(points)), start, end)
        await samples.highest(store, machines, "temperature", start, end)
        await samples.between(store, one, start, end, points)
        await statuses.statuses_between(store, one, start, end)
        await statuses.declared_until(store, one, start, end, points)
        await statuses.newest_statuses(store, one, points)
        asked = events.EventFilters(rvm_ids=[one], codes=["a", "b"], start=start, end=end)
        await events.list_events(store, asked, limit=points)

    await read([1], 0, 20)
    await read([2, 3], 1, 30)
    compiled.clear()
    await read([4, 5, 6], 2, 40)
    assert compiled == []


async def test_the_latest_sample_of_each_machine_is_found(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    other, _ = await machine_with_boot(store, "south")
    await add_machine(store, "silent")
    same_instant = [sample(rvm_id, seq, boot, at=after(100), cpu_usage=float(seq)) for seq in (8, 9)]
    await store.store_samples([sample(rvm_id, 1, boot), *same_instant, sample(other, 0, 0, at=after(5))])
    found = await samples.latest(store)
    assert found == {rvm_id: same_instant[1], other: sample(other, 0, 0, at=after(5))}
    assert isinstance(found[rvm_id], SampleRow)


async def test_old_samples_go_in_portions(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    other, other_boot = await machine_with_boot(store, "south")
    await store.store_samples([sample(rvm_id, seq, boot) for seq in range(20)] + [sample(other, 1, other_boot)])
    counts: list[int] = []
    while not counts or counts[-1] == 8:
        (result,) = await store.write(samples.delete_samples_before(rvm_id, after(18), limit=8))
        counts.append(result.rowcount)
    assert counts == [8, 8, 2]
    assert sorted((row["rvm_id"], row["seq"]) for row in await stored(store)) == [
        (rvm_id, 18),
        (rvm_id, 19),
        (other, 1),
    ]


async def test_the_samples_of_a_removed_machine_are_found_and_deleted_in_pieces(store: Store) -> None:
    rvm_id, boot = await machine_with_boot(store)
    other, other_boot = await machine_with_boot(store, "south")
    await store.store_samples([*(sample(rvm_id, seq, boot) for seq in range(5)), sample(other, 1, other_boot)])
    assert await samples.removed_machines(store) == []
    await store.write(delete(MachineRow, rvm_id))
    assert await samples.removed_machines(store) == [rvm_id]
    counts = [(await store.write(samples.delete_samples(rvm_id, 3)))[0].rowcount for _ in range(3)]
    assert counts == [3, 2, 0]
    assert await samples.removed_machines(store) == []
    assert [row["rvm_id"] for row in await stored(store)] == [other]
    assert [row.id for row in await boots.recent_boots(store, 9)] == [other_boot]


def plan_of(sqlite_url: str, select: sa.Select[Any], **values: int) -> list[str]:
    """How SQLite would find the rows, a line for each step."""
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    sql = select.compile(dialect=sqlite.dialect(paramstyle="named"))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    connection.close()
    return plan


def test_the_latest_samples_are_found_without_walking_through_all(sqlite_url: str) -> None:
    plan = plan_of(sqlite_url, samples._LATEST)
    assert any(step.startswith("SEARCH system_metrics USING PRIMARY KEY (rvm_id=? AND timestamp=?)") for step in plan)
    assert not any(step.startswith("SCAN system_metrics") for step in plan)


def test_whose_samples_are_old_is_found_without_walking_through_all(sqlite_url: str) -> None:
    plan = plan_of(sqlite_url, samples._WITH_OLD, key_before=0)
    assert any(step.startswith("SEARCH system_metrics USING PRIMARY KEY (rvm_id=?)") for step in plan), plan
    assert not any(step.startswith("SCAN system_metrics") for step in plan), plan
