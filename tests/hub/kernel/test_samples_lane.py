"""The samples lane: acknowledged when durable, once per link and commit; bounded and fair while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from db.errors import StoreError
from db.rows import SampleRow
from hub.kernel.samples_lane import LINGER_MOST_S, SamplesLane
from tests.support.fake_store import FakeStore
from tests.support.machines import NOW
from tests.support.until import until


class Ticket:
    def __init__(self) -> None:
        self.waiting = 0
        self.acknowledged: list[int] = []

    def acknowledge(self, seq: int) -> None:
        self.acknowledged.append(seq)


def rows(*seqs: int, rvm_id: int = 7) -> list[SampleRow]:
    return [SampleRow(rvm_id, NOW, 31, seq, *([None] * 10), False, NOW) for seq in seqs]  # type: ignore[call-arg, arg-type]


@pytest.fixture
async def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def lane(store: FakeStore) -> AsyncIterator[SamplesLane]:
    lane = SamplesLane(store, max_pending=100)
    task = asyncio.create_task(lane.run())
    yield lane
    task.cancel()


async def test_what_waits_goes_into_one_transaction_with_one_acknowledgement_a_link(
    lane: SamplesLane, store: FakeStore
) -> None:
    one, other = Ticket(), Ticket()
    lane.put(rows(0), one, 0)
    lane.put(rows(5, rvm_id=8), other, 5)
    lane.put(rows(1, 2), one, 2)
    await lane.flush()
    assert [[row.seq for row in batch] for batch in store.batches] == [[0, 5, 1, 2]]
    assert (one.acknowledged, other.acknowledged) == ([2], [5])
    assert (one.waiting, lane.pending) == (0, 0)


async def test_nothing_is_acknowledged_before_it_is_committed(lane: SamplesLane, store: FakeStore) -> None:
    ticket = Ticket()
    store.open.clear()
    lane.put(rows(0), ticket, 0)
    await until(lambda: store.calls)
    assert ticket.acknowledged == []
    store.open.set()
    await until(lambda: ticket.acknowledged == [0])


async def test_a_repeat_is_acknowledged_only_after_the_first_one_is_committed(
    lane: SamplesLane, store: FakeStore
) -> None:
    before, after = Ticket(), Ticket()
    store.open.clear()
    lane.put(rows(0, 1), before, 1)
    await until(lambda: store.calls)
    lane.put([], after, 1)
    await asyncio.sleep(0)
    assert after.acknowledged == []
    store.open.set()
    await until(lambda: after.acknowledged == [1])
    assert store.batches == [rows(0, 1)]


async def test_a_database_that_is_away_loses_nothing_and_acknowledges_nothing(
    lane: SamplesLane, store: FakeStore
) -> None:
    ticket = Ticket()
    store.away = True
    for seq in range(10):
        lane.put(rows(seq), ticket, seq)
    await until(lambda: store.calls > 5)
    assert ticket.acknowledged == []
    assert lane.retry.since is not None
    store.away = False
    await until(lambda: ticket.acknowledged and ticket.acknowledged[-1] == 9)
    assert [row.seq for batch in store.batches for row in batch] == list(range(10))
    assert lane.retry.since is None


async def test_a_failure_that_nobody_knows_drops_no_sample(lane: SamplesLane, store: FakeStore) -> None:
    failures, whole = [StoreError("no such table: system_metrics")] * 3, store.store_samples

    async def fails(rows: Sequence[SampleRow]) -> None:
        if failures:
            raise failures.pop()
        await whole(rows)

    failing: Any = store
    failing.store_samples = fails
    lane.put(rows(0, 1), Ticket(), 1)
    await lane.flush()
    assert ([len(batch) for batch in store.batches], lane.dropped) == ([2], 0)


async def test_half_of_the_room_is_for_anybody_and_in_the_other_half_each_has_a_share(
    lane: SamplesLane, store: FakeStore
) -> None:
    greedy, modest = Ticket(), Ticket()
    lane.links = 5
    store.open.clear()
    lane.put(rows(0), modest, 0)
    await until(lambda: store.calls)
    lane.put(rows(*range(49)), greedy, 48)
    assert lane.has_room(greedy)
    lane.put(rows(49), greedy, 49)
    assert not lane.has_room(greedy)
    lane.put(rows(*range(1, 10)), modest, 9)
    assert lane.has_room(modest)
    lane.put(rows(10), modest, 10)
    assert not lane.has_room(modest)


async def test_full_is_full_for_everybody_until_something_was_committed(lane: SamplesLane, store: FakeStore) -> None:
    store.open.clear()
    lane.put(rows(0), Ticket(), 0)
    await until(lambda: store.calls)
    lane.put(rows(*range(1, 101)), Ticket(), 100)
    newcomer = Ticket()
    assert not lane.has_room(newcomer)
    room = asyncio.ensure_future(lane.room())
    await asyncio.sleep(0)
    assert not room.done()
    store.open.set()
    await asyncio.wait_for(room, 60)
    await until(lambda: lane.has_room(newcomer))


async def test_a_row_no_retry_can_store_is_dropped_alone(lane: SamplesLane, store: FakeStore) -> None:
    ticket = Ticket()
    store.refuse_sample = lambda row: row.seq == 3
    lane.put(rows(*range(8)), ticket, 7)
    await until(lambda: ticket.acknowledged == [7])
    assert sorted(row.seq for batch in store.batches for row in batch) == [0, 1, 2, 4, 5, 6, 7]
    assert lane.dropped == 1


async def test_a_commit_takes_two_thousand_rows_at_most(store: FakeStore) -> None:
    lane = SamplesLane(store)
    ticket = Ticket()
    for start in range(0, 5000, 100):
        lane.put(rows(*range(start, start + 100)), ticket, start + 99)
    task = asyncio.create_task(lane.run())
    await lane.flush()
    task.cancel()
    assert [len(batch) for batch in store.batches] == [2000, 2000, 1000]
    assert ticket.acknowledged == [1999, 3999, 4999]


async def test_samples_by_rest_are_acknowledged_when_durable_and_refused_when_it_is_full(
    lane: SamplesLane, store: FakeStore
) -> None:
    done: list[str] = []
    assert lane.put_uploaded(rows(0), lambda: done.append("new"))
    assert lane.put_uploaded((), lambda: done.append("repeats"))
    await until(lambda: len(done) == 2)
    assert done == ["new", "repeats"]
    assert store.batches == [rows(0)]
    store.open.clear()
    lane.put(rows(0), Ticket(), 0)
    await until(lambda: lane.pending == 0)
    lane.put(rows(*range(1, 101)), Ticket(), 100)
    assert not lane.put_uploaded(rows(0), lambda: done.append("never"))
    assert lane.put_uploaded((), lambda: None), "a repeat needs no room"


async def test_under_load_the_writer_waits_for_company_in_proportion_to_a_commit(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float, *rest: Any) -> None:
        waits.append(seconds)
        await sleep(0)

    lane = SamplesLane(store)
    monkeypatch.setattr("hub.kernel.samples_lane.asyncio.sleep", note)
    lane._last_rows, lane._last_commit_s = 1, 0.5
    await lane._linger()
    assert waits == [], "a single sample is not kept waiting"
    lane._last_rows, lane._last_commit_s = 2, 0.001
    await lane._linger()
    lane._last_commit_s = 0.5
    await lane._linger()
    assert waits == [0.002, LINGER_MOST_S]
    lane.put(rows(*range(300)), Ticket(), 299)
    await lane._linger()
    assert len(waits) == 2, "there is company enough"
