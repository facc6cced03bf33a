"""A store that hangs, refuses or dies: calls end, threads stay bounded, the loop goes on, then all works again."""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest

from hub.kernel.objects import s3, threads
from hub.kernel.objects.place import PART_SIZE, ObjectsError
from hub.kernel.objects.store import THREADS, Objects, open_objects
from hub.kernel.objects.threads import WAITING, ObjectThreads
from hub.settings import Settings
from tests.support.s3_server import S3Server, s3_server
from tests.support.until import until

KEY = "backups/7/b1.tar.gz"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[S3Server]:
    folder = tmp_path / "s3"
    folder.mkdir()
    with s3_server(folder) as server:
        if server.process is None:
            pytest.skip("TEST_S3_ENDPOINT is not ours to freeze")
        yield server


def objects_in(server: S3Server, tmp_path: Path) -> Objects:
    keys = {"RVM_S3_ACCESS_KEY": server.access_key, "RVM_S3_SECRET_KEY": server.secret_key}
    return open_objects(Settings.load({"data_dir": tmp_path, "object_store": server.url("backups")}, keys))


async def test_a_store_that_hangs_is_given_up_holds_few_threads_and_works_again(
    own_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = objects_in(own_server, tmp_path)
    upload_id = await patient.begin(KEY)
    monkeypatch.setattr(s3, "READ_S", 3.0)
    objects = objects_in(own_server, tmp_path)
    monkeypatch.setattr(threads, "SILENCE_S", 1.5)
    own_server.freeze()
    refused: list[ObjectsError] = []
    ticks = 0

    async def put(number: int) -> None:
        try:
            await objects.put_part(KEY, upload_id, number, bytes(PART_SIZE))
        except ObjectsError as error:
            refused.append(error)

    async with anyio.create_task_group() as ticking:

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.sleep(0.01)
                ticks += 1

        ticking.start_soon(tick)
        before = threading.active_count()
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for number in range(1, 2 * THREADS + 1):
                    tasks.start_soon(put, number)
            assert objects.threads_taken <= THREADS
            assert threading.active_count() <= before + THREADS
        ticking.cancel_scope.cancel()
    assert len(refused) == 4 * THREADS
    assert ticks > 20, "the loop went on"

    own_server.go_on()
    data = os.urandom(1000)
    tag = await again(objects, upload_id, 1, data)
    monkeypatch.undo()
    await patient.complete(KEY, upload_id, [(1, tag)])
    assert await patient.digest(KEY) == hashlib.sha256(data).hexdigest()


async def again(objects: Objects, upload_id: str, number: int, data: bytes) -> str:
    """As the agent does: until the threads that hung have ended, or the store is back."""
    while True:
        try:
            return await objects.put_part(KEY, upload_id, number, data)
        except ObjectsError:  # noqa: PERF203 - each try for itself
            await anyio.sleep(0.1)


async def test_a_store_that_dies_has_what_it_confirmed_and_no_orphans_after_the_sweep(
    own_server: S3Server, tmp_path: Path
) -> None:
    objects = objects_in(own_server, tmp_path)
    data = os.urandom(2 * PART_SIZE + 5)
    parts = [data[at : at + PART_SIZE] for at in range(0, len(data), PART_SIZE)]
    upload_id = await objects.begin(KEY)
    orphan = await objects.begin("backups/7/b0.tar.gz")
    await objects.put_part("backups/7/b0.tar.gz", orphan, 1, parts[0])
    tags = [await objects.put_part(KEY, upload_id, number, parts[number - 1]) for number in (1, 2)]
    own_server.kill()
    with pytest.raises(ObjectsError):
        await objects.put_part(KEY, upload_id, 3, parts[2])
    await anyio.to_thread.run_sync(own_server.start)
    tags.append(await again(objects, upload_id, 3, parts[2]))
    await objects.complete(KEY, upload_id, list(enumerate(tags, 1)))
    assert await objects.digest(KEY) == hashlib.sha256(data).hexdigest()
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    assert await objects.sweep("backups/", tomorrow, ()) == 1
    assert await objects.uploads("") == []
    assert await objects.list("") == [KEY]


async def test_a_slow_call_that_moves_is_not_given_up_and_one_that_does_not_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "SILENCE_S", 2.0)
    clock = threading.Event()

    def slow(ends: float) -> str:
        while time.monotonic() < ends and not clock.wait(0.05):
            threads.moved()
        return "done"

    few = ObjectThreads(1)
    longer = time.monotonic() + 2 * threads.SILENCE_S
    assert await few.run(lambda: slow(longer), math.inf) == "done"
    with pytest.raises(ObjectsError, match="does not answer"):
        await few.run(lambda: slow(math.inf), 0.5)
    assert few.taken == 1, "the thread goes on and keeps its place"
    with pytest.raises(ObjectsError, match="does not answer"):
        await few.run(lambda: None, 0.1)
    clock.set()
    await until(lambda: few.taken == 0)
    assert await few.run(lambda: "again", math.inf) == "again"

    still = threading.Event()
    with pytest.raises(ObjectsError, match="does not answer"):
        await few.run(lambda: still.wait(60), 60)
    still.set()


async def test_what_waits_for_a_thread_is_bounded_and_what_is_cancelled_gives_its_place_back() -> None:
    few, goes_on = ObjectThreads(1), threading.Event()
    done: list[bool] = []

    async def call() -> None:
        done.append(await few.run(lambda: goes_on.wait(60), 60))

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as cancelled:
            for _ in range(WAITING + 1):
                cancelled.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ObjectsError, match="too much waits"):
                await few.run(lambda: None, 60)
            cancelled.cancel_scope.cancel()
        assert few.taken == 1, "one hangs"
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        goes_on.set()
    assert done == [True]
    assert few.taken == 0
