"""An object store that takes connections and says nothing: parts are refused in time, the hub goes on, all is kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import psutil
import pytest

from db.engine.reading import AT_ONCE
from hub.backups.upload import MOST_PARTS
from hub.kernel.objects.place import PART_SIZE
from hub.kernel.objects.store import THREADS
from tests.support.backup_client import BackupClient, good
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.s3_server import S3Server, s3_server

REFUSED_WITHIN_S = 15.0
LONGEST_BLOCK_S = 0.1
DATA = b"\x1f\x8b" + os.urandom(2 * PART_SIZE + 1000)


@contextlib.asynccontextmanager
async def hub_upon_s3(tmp_path: Path) -> AsyncIterator[tuple[S3Server, ForkedHub, BackupClient]]:
    """A hub whose store can be frozen, and a machine that sends to it."""
    folder = tmp_path / "s3"
    folder.mkdir()
    with s3_server(folder) as s3:
        if s3.process is None:
            pytest.skip("TEST_S3_ENDPOINT is not ours to freeze")
        keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
        async with forked_hub(tmp_path, object_store=s3.url("backups"), **keys) as hub:
            key = await hub.add_machine("Lobby")
            async with hub.client(key.api_key) as http:
                yield s3, hub, BackupClient(http, key.id)
        assert "Traceback" not in hub.log


async def watch(hub: ForkedHub, seen: list[int], blocks: list[float]) -> None:
    """Whether the hub answers, its threads, and its loop's longest block."""
    process = psutil.Process(hub.pid)
    async with hub.client() as anybody:
        while True:
            ready = good(await anybody.get("/api/ready"))
            seen.append(process.num_threads())
            blocks.append(ready["longest_block_s"])
            await anyio.sleep(0.2)


@pytest.mark.timeout(180)
async def test_parts_are_refused_in_time_and_sent_again_when_the_store_answers(tmp_path: Path) -> None:
    async with hub_upon_s3(tmp_path) as (s3, hub, machine):
        async with hub.client() as admin:
            backup_id = (await BackupClient(admin, machine.rvm_id).start())["backup_id"]
        good(await machine.begin(backup_id))
        good(await machine.put(backup_id, 1, DATA[:PART_SIZE]))
        s3.freeze()
        await refused_while_frozen(hub, machine, backup_id)
        s3.go_on()
        for number in (2, 3):
            await until_taken(machine, backup_id, number)
        good(await machine.complete(backup_id, DATA), 202)
        status = good(await machine.ended(backup_id, DATA))
        assert status["upload_status"] in ("completed", "verified")
        machine.http.timeout = httpx.Timeout(60)
        archive = await machine.http.get(f"{machine.base}/backups/{backup_id}/archive")
        assert hashlib.sha256(archive.content).digest() == hashlib.sha256(DATA).digest()


async def refused_while_frozen(hub: ForkedHub, machine: BackupClient, backup_id: int) -> None:
    """Both parts, twice; meanwhile the hub is watched."""
    threads: list[int] = []
    blocks: list[float] = []
    took: list[float] = []
    before = psutil.Process(hub.pid).num_threads()

    async def put(number: int) -> None:
        began = time.monotonic()
        answer = await machine.put(backup_id, number, DATA[PART_SIZE * (number - 1) : PART_SIZE * number])
        took.append(time.monotonic() - began)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0

    async with anyio.create_task_group() as watching:
        watching.start_soon(watch, hub, threads, blocks)
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for number in (2, 3):
                    tasks.start_soon(put, number)
        watching.cancel_scope.cancel()
    print(f"refused after {max(took):.1f} s, threads {before} to {max(threads)}, longest block {max(blocks):.3f} s")
    assert max(took) < 2 * REFUSED_WITHIN_S, "with what a busy computer adds"
    assert max(threads) <= before + THREADS + 2
    assert len(threads) > 20, "the hub answered all the time"


@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_with_as_many_parts_as_may_wait_the_loop_goes_on_and_each_is_refused_in_time(tmp_path: Path) -> None:
    """Bar 20, measured: 24 whole parts wait for a store that hangs. Loop <= 100 ms, each refused within 15 s of its
    last byte, threads bounded."""
    async with hub_upon_s3(tmp_path) as (s3, hub, machine):
        backup_id = (await machine.start())["backup_id"]
        good(await machine.begin(backup_id))
        process = psutil.Process(hub.pid)
        before, memory = process.num_threads(), process.memory_info().rss
        s3.freeze()
        waited, threads = await parts_at_a_hanging_store(hub, machine, backup_id)
        grown = (process.memory_info().rss - memory) / 2**20
        print(
            f"{len(waited)} parts refused {min(waited):.1f} to {max(waited):.1f} s after their last byte, "
            f"threads {before} to {max(threads)}, longest block {hub.longest_block_s * 1000:.0f} ms, "
            f"{grown:.0f} MiB more"
        )
        assert max(waited) <= REFUSED_WITHIN_S
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert max(threads) <= before + THREADS + AT_ONCE, "those of the store and of the database"
        s3.go_on()
        await until_taken(machine, backup_id, 1)


async def parts_at_a_hanging_store(
    hub: ForkedHub, machine: BackupClient, backup_id: int
) -> tuple[list[float], list[int]]:
    """How long each waited for its refusal, and the hub's threads meanwhile."""
    part, waited, threads, blocks = DATA[:PART_SIZE], list[float](), list[int](), list[float]()
    summed = hashlib.sha256(part).hexdigest()

    async def put(number: int) -> None:
        ended = 0.0

        async def body() -> AsyncIterator[bytes]:
            nonlocal ended
            for at in range(0, PART_SIZE, 65536):
                yield part[at : at + 65536]
            ended = time.monotonic()

        headers = {"X-Content-SHA256": summed, "Content-Length": str(PART_SIZE)}
        address = f"{machine.base}/backups/{backup_id}/parts/{number}"
        answer = await machine.http.put(address, content=body(), headers=headers, timeout=60)
        waited.append(time.monotonic() - ended)
        assert answer.status_code == 503, answer.text

    async with anyio.create_task_group() as watching:
        watching.start_soon(watch, hub, threads, blocks)
        async with anyio.create_task_group() as tasks:
            for number in range(1, MOST_PARTS + 1):
                tasks.start_soon(put, number)
        watching.cancel_scope.cancel()
    return waited, threads


async def until_taken(machine: BackupClient, backup_id: int, number: int) -> None:
    """As the agent does."""
    while True:
        answer = await machine.put(backup_id, number, DATA[PART_SIZE * (number - 1) : PART_SIZE * number])
        if answer.status_code == 200:
            return
        assert answer.status_code == 503, answer.text
        await anyio.sleep(0.2)
