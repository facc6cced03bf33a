"""The real hub as a benchmark meets it: its own process, a fresh database filled in bulk, its rate limit off."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

import db.engine.store
from bench.crowd import Target
from bench.processes import ROOT, Server, end, on_core
from db import schema
from hub.model import credentials

READY_S = 60.0
ROWS_AT_ONCE = 500
ADMIN = "bench@example.invalid"
VIEWERS = 9


class Seed(NamedTuple):
    """Who exists in the database: machines with their keys, and an administrator (ADMIN) with a token; `tokens` are
    this one and those of viewers, for browsers."""

    ids: list[int]
    devices: list[str]
    keys: list[str]
    token: str
    password: str
    tokens: tuple[str, ...]


class Hub(NamedTuple):
    server: Server
    seed: Seed

    def target(self, count: int) -> Target:
        return Target(
            host="127.0.0.1", port=self.server.port, devices=self.seed.devices[:count], keys=self.seed.keys[:count]
        )


@contextlib.contextmanager
def hub(folder: Path, machines: int, database: str = "", also: tuple[int, ...] = ()) -> Iterator[Hub]:
    """A hub that is ready, with that many machines. `database` is a URL; empty: SQLite in `folder`."""
    url = database or f"sqlite:///{folder / 'hub.sqlite3'}"
    seed = asyncio.run(fill(url, machines))
    process, port = start(folder, url)
    try:
        await_ready(port, process, folder)
        yield Hub(Server(process, port, [process.pid, *also]), seed)
    finally:
        end(process, 40)


def start(folder: Path, url: str, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Start `run_hub.py` on the server's core; it may not be ready yet."""
    port = port or free_port()
    command = [sys.executable, "run_hub.py", "--port", str(port), "--data-dir", str(folder), "--database-url", url]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
    environment |= {"RVM_DEVICE_FRAMES_PER_SECOND": "0", "RVM_BACKUP_SCRATCH_GIB": "0"}
    log = (folder / "hub.log").open("a")
    with on_core(0), log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, text=True)
    return process, port


def await_ready(port: int, process: subprocess.Popen[str], folder: Path) -> float:
    """Wait until the hub says it is ready; the seconds it took. Raises RuntimeError when it does not."""
    began = time.monotonic()
    while time.monotonic() - began < READY_S and process.poll() is None:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/ready", timeout=2) as answer,
        ):
            if answer.status == 200:
                return time.monotonic() - began
        time.sleep(0.02)
    last = (folder / "hub.log").read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"the hub is not ready (exit code {process.poll()}); it said:\n{last}")


async def fill(url: str, machines: int) -> Seed:
    """Migrate, then insert machines, an administrator and a token without the hub."""
    store = await db.engine.store.open_store(url)
    now = datetime.now(timezone.utc)
    keys = [credentials.new_secret("key") for _ in range(machines)]
    devices = [f"bench-{k + 1}" for k in range(machines)]
    rows = [
        {
            "device_id": device, "name": f"Bench {device}", "status_since": now, "status_by": "system",
            "api_key": key.hash, "api_key_prefix": key.prefix, "simulated": True, "created_at": now, "updated_at": now,
        }
        for device, key in zip(devices, keys, strict=True)
    ]  # fmt: skip
    try:
        for at in range(0, machines, ROWS_AT_ONCE):
            await store.write(sa.insert(schema.reverse_vending_machines).values(rows[at : at + ROWS_AT_ONCE]))
        token, password = await _administrator(store, now)
        tokens = (token, *[await _viewer(store, now, number) for number in range(2, 2 + VIEWERS)])
        table = schema.reverse_vending_machines
        known = await store.fetch_all(sa.select(table.c.id, table.c.device_id))
    finally:
        await store.close()
    numbers = {str(row["device_id"]): int(row["id"]) for row in known}
    return Seed([numbers[device] for device in devices], devices, [key.text for key in keys], token, password, tokens)


async def _administrator(store: Any, now: datetime) -> tuple[str, str]:
    """Make the administrator; the token and the password."""
    password = secrets.token_urlsafe(16)
    user = {
        "id": 1, "email": ADMIN, "name": "Bench", "role": "admin", "created_at": now, "updated_at": now,
        "password_hash": credentials.hash_password(password),
    }  # fmt: skip
    return await _person(store, user), password


async def _viewer(store: Any, now: datetime, number: int) -> str:
    email = f"viewer-{number}@example.invalid"
    return await _person(
        store,
        {"id": number, "email": email, "name": email, "role": "viewer", "created_at": now, "updated_at": now,
         "password_hash": None},
    )  # fmt: skip


async def _person(store: Any, user: dict[str, Any]) -> str:
    """Insert somebody with a token, which is returned."""
    token, now = credentials.new_secret("token"), user["created_at"]
    row = {"user_id": user["id"], "name": "bench", "prefix": token.prefix, "hash": token.hash, "created_at": now}
    await store.write(sa.insert(schema.users).values(user), sa.insert(schema.tokens).values(row))
    return token.text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
