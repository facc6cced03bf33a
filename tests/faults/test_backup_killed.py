"""Backups while agent, hub and store are killed at ten random moments each: they complete, are what stood on the
machine, and leave nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from archive.age import make_identity
from db.engine.sqlite_files import path_of
from hub.kernel.objects.store import open_objects
from tests.support.backed_up_machine import MIB, BackedUpMachine, backed_up_machine
from tests.support.backup_client import BackupClient, good, pieces, sha
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.part_tap import PartTap, part_tap
from tests.support.s3_server import S3Server, s3_server
from tests.support.until import until

SIZE = 48 * MIB
RATE_KIB_S = 24 * 1024
BACKUPS = 2
KILLS = 5
"""In each of them."""
PART_S = 8 * MIB / (RATE_KIB_S * 1024)


@contextlib.asynccontextmanager
async def backed_up(folder: Path, **agent: Any) -> AsyncIterator[BackedUpMachine]:
    async with forked_hub(folder) as hub, slow_machine(folder, hub, **agent) as machine:
        yield machine


def slow_machine(folder: Path, hub: ForkedHub, **agent: Any) -> contextlib.AbstractAsyncContextManager[BackedUpMachine]:
    return backed_up_machine(folder / "site", hub, SIZE, backup_rate=RATE_KIB_S, **agent)


async def killed_again_and_again(machine: BackedUpMachine, seed: int, kill: Callable[[], Awaitable[None]]) -> None:
    """Backups while somebody is killed: as good as others, and all that is there then."""
    dice, kept = random.Random(seed), []
    for _ in range(BACKUPS):
        kept.append(await machine.ask())
        for size in sorted(dice.randrange(SIZE) for _ in range(KILLS)):
            await machine.uploaded(size)
            await asyncio.sleep(dice.uniform(0, PART_S))  # anywhere in a part
            await kill()
        status = await machine.ended()
        assert status["upload_status"] in ("completed", "verified"), status
        await machine.check(kept[-1], status)
    assert "Traceback" not in machine.hub.log + machine.agent.log
    await nothing_else_is_left(machine.hub, kept)


async def nothing_else_is_left(hub: ForkedHub, kept: list[int]) -> None:
    """In the store, once what nobody goes on with was swept, and in the database."""
    objects = open_objects(hub.settings)
    await objects.sweep("", datetime.now(timezone.utc) + timedelta(days=1), ())
    archives = [key for key in await objects.list("backups/") if not key.endswith(".manifest.gz")]
    assert len(archives) == len(kept), archives
    assert await objects.uploads("") == []
    with contextlib.closing(sqlite3.connect(path_of(hub.settings.database_url))) as database:
        assert database.execute("select count(*) from backup_parts").fetchone() == (0,)


@pytest.mark.timeout(300)
async def test_the_agent_is_killed_again_and_again(tmp_path: Path) -> None:
    """Its archiving process dies with it; twice the whole machine boots."""
    async with backed_up(tmp_path) as machine:
        boots = random.Random(0).sample(range(BACKUPS * KILLS), 2)
        killed = 0

        async def kill() -> None:
            nonlocal killed
            await kill_agent(machine, boots=killed in boots)
            killed += 1

        await killed_again_and_again(machine, 1, kill)


async def kill_agent(machine: BackedUpMachine, *, boots: bool = False) -> None:
    children = children_of(machine.agent.pid)
    await machine.agent.kill()
    await until(lambda: not any(map(is_running, children)))
    if boots:
        machine.agent.boot()
    await machine.agent.start()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """A zombie is not: whoever inherited it may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.timeout(300)
async def test_the_hub_is_killed_again_and_again(tmp_path: Path) -> None:
    async with backed_up(tmp_path) as machine:

        async def kill() -> None:
            await machine.hub.kill()
            await machine.hub.start()

        await killed_again_and_again(machine, 3, kill)


@contextlib.asynccontextmanager
async def backed_up_to_s3(folder: Path, **agent: Any) -> AsyncIterator[tuple[BackedUpMachine, S3Server, PartTap]]:
    """The agent reaches its hub through the tap."""
    (folder / "s3").mkdir()
    async with AsyncExitStack() as stack:
        s3 = stack.enter_context(s3_server(folder / "s3"))
        keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
        hub = await stack.enter_async_context(forked_hub(folder, object_store=s3.url("backups"), **keys))
        tap = await stack.enter_async_context(part_tap(hub.port))
        yield await stack.enter_async_context(slow_machine(folder, hub, url=tap.url, **agent)), s3, tap


@pytest.mark.timeout(300)
async def test_the_store_is_killed_and_hangs(tmp_path: Path) -> None:
    """An agent asks again 15 s after a part that the store did not take: seldom enough for two faults."""
    async with backed_up_to_s3(tmp_path) as (machine, s3, _):
        backup_id = await machine.ask()
        await machine.uploaded(SIZE // 3)
        s3.kill()
        await asyncio.to_thread(s3.start)
        await machine.uploaded(SIZE * 2 // 3)
        s3.freeze()
        await machine.reports("waiting")
        s3.go_on()
        await machine.check(backup_id, await machine.ended())
        await nothing_else_is_left(machine.hub, [backup_id])


@pytest.mark.timeout(300)
async def test_the_store_is_killed_again_and_again(tmp_path: Path) -> None:
    """Whoever uploads sends a part again at once, so that every kill meets one."""
    (tmp_path / "s3").mkdir()
    async with AsyncExitStack() as stack:
        s3 = stack.enter_context(s3_server(tmp_path / "s3"))
        keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
        hub = await stack.enter_async_context(
            forked_hub(tmp_path, object_store=s3.url("backups"), backup_scratch_gib=0, **keys)
        )
        key = await hub.add_machine("Lobby")
        client = BackupClient(await stack.enter_async_context(hub.client(key.api_key)), key.id)
        killing = asyncio.create_task(kill_store(s3, random.Random(5)))
        kept: list[int] = []
        while not killing.done():
            data = random.Random(len(kept)).randbytes(SIZE // 2 + 777)
            kept.append((await client.start())["backup_id"])
            outcome = good(await upload(client, kept[-1], data))
            assert (outcome["upload_status"], outcome["sha256"]) == ("completed", sha(data))
        await killing
        await nothing_else_is_left(hub, kept)


async def upload(client: BackupClient, backup_id: int, data: bytes) -> httpx.Response:
    """From the beginning when the store was killed while the hub put the parts together, or has just started and did
    not know the upload when a part came."""
    while True:
        await until_taken(partial(client.begin, backup_id))
        for number, piece in enumerate(pieces(data), 1):
            await until_taken(partial(client.put, backup_id, number, piece))
        outcome = await until_taken(partial(client.ended, backup_id, data))
        if outcome.status_code != 409 or outcome.json()["code"] not in ("conflict", "parts_missing"):
            return outcome


async def kill_store(s3: S3Server, dice: random.Random) -> None:
    for _ in range(BACKUPS * KILLS):
        await asyncio.sleep(dice.uniform(0, 1))  # the moment of the kill is the test's dice
        s3.kill()
        await asyncio.to_thread(s3.start)


async def until_taken(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Asked again while the store is away; a refusal that comes before the end of a body may cut the connection."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await call()
            if answer.status_code != 503:
                return answer
            assert answer.json()["code"] == "store_away", answer.text


@pytest.mark.timeout(300)
async def test_an_encrypted_one_goes_on_whoever_is_killed(tmp_path: Path, database_url: str) -> None:
    """Agent, hub and both at once, each time in the middle of a part: the parts that were there are not sent again,
    the machine verifies it, and the operator's identity opens it."""
    identity, recipient = make_identity()
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path, database_url=database_url))
        machine = await stack.enter_async_context(slow_machine(tmp_path, hub, backup_public_key=recipient))
        backup_id = await machine.ask()
        kept: dict[int, str] = {}
        for turn, size in enumerate(range(1, 6)):
            await machine.uploaded(size * SIZE // 6)
            before, kept = kept, await parts_at_the_hub(machine, backup_id)
            assert not kept or kept.items() >= before.items(), "a part that was confirmed came again as another"
            if turn % 3 != 1:
                await kill_agent(machine, boots=turn > 2)
            if turn % 3 != 0:
                await machine.hub.kill()
                await machine.hub.start()
        status = await machine.ended()
        assert status["upload_status"] in ("completed", "verified"), status
        await machine.check(backup_id, status, identity)
        shown = await machine.verified(backup_id)
        assert (shown["upload_status"], shown["drill_error"]) == ("verified", None)
        assert "Traceback" not in machine.hub.log + machine.agent.log


async def parts_at_the_hub(machine: BackedUpMachine, backup_id: int) -> dict[int, str]:
    """As the machine itself asks for them. Empty once they are one archive."""
    async with machine.hub.client(machine.key.api_key) as client:
        answer = await client.post(
            f"/api/v2/rvms/{machine.key.id}/backups/{backup_id}/upload",
            json={"backup_type": "full", "compression": "gzip", "encrypted": True},
        )
    return {part["number"]: part["sha256"] for part in good(answer)["parts"]}


@pytest.mark.timeout(300)
async def test_an_encrypted_one_whose_sources_changed_meanwhile_begins_anew_and_leaves_nothing(tmp_path: Path) -> None:
    """One key never meets two contents: what was sent is sent again, as another archive."""
    identity, recipient = make_identity()
    async with backed_up(tmp_path, backup_public_key=recipient) as machine:
        backup_id = await machine.ask()
        await machine.uploaded(SIZE * 2 // 3)
        children = children_of(machine.agent.pid)
        await machine.agent.kill()
        await until(lambda: not any(map(is_running, children)))
        for name in ("1.jpg", "2.jpg", "3.jpg"):  # the second archive has fewer parts than came of the first
            (tmp_path / "site" / "photos" / name).unlink()
            del machine.content[f"photos/{name}"]
        await machine.agent.start()
        status = await machine.ended()
        assert status["upload_status"] in ("completed", "verified"), status
        await machine.check(backup_id, status, identity)
        await nothing_else_is_left(machine.hub, [backup_id])
