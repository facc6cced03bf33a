"""A real hub for tests: as a process of its own (to be killed), or in the test's event loop (to be looked into).

    async with hub_process(tmp_path) as hub:        # or hub_here(tmp_path)
        key = await hub.add_machine("Lobby")
        async with hub.client() as client:
            await client.get("/api/v2/rvms")

Both listen on a free port with a data folder of their own, and have an administrator (`hub.admin`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from db.engine.sqlite_files import path_of
from hub import serving as hub_server
from hub.kernel.context import HubContext
from hub.server.process import listen, url_of
from hub.server.server import configuration
from hub.server.websocket_protocol import WebSocketProtocol
from hub.serving import HubServer, create_app
from hub.settings import Settings
from tests.support.fork_server import Forked
from tests.support.hub_people import MachineKey, People, Person
from tests.support.hub_probe import longest_block_s
from tests.support.migrated_sqlite import copy_of_migrated_sqlite

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 90.0
END_WITHIN_S = 35.0


@dataclass
class Hub:
    """What both kinds have. `url` is http://127.0.0.1:PORT."""

    settings: Settings
    admin: Person
    url: str = ""

    @property
    def people(self) -> People:
        return People(self.settings)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def client(self, secret: str | None = None) -> httpx.AsyncClient:
        """REST as the administrator, signed in, or with a token or key."""
        headers = {"Authorization": f"Bearer {secret or self.admin.session}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    async def add_machine(self, name: str) -> MachineKey:
        """By REST, so that the running hub has it when this returns."""
        async with self.client() as client:
            answer = await client.post("/api/v2/rvms", json={"name": name})
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        return MachineKey(data["id"], data["device_id"], data["api_key"])


@dataclass
class HubHere(Hub):
    """In this event loop."""

    app: Starlette | None = None
    server: HubServer | None = None

    @property
    def context(self) -> HubContext:
        assert self.app is not None
        found: HubContext = self.app.state.hub
        return found

    @property
    def sockets(self) -> list[WebSocketProtocol]:
        """Every WebSocket that is open, as the server has it."""
        assert self.server is not None
        return [c for c in self.server.server_state.connections if isinstance(c, WebSocketProtocol)]

    @property
    def longest_block_s(self) -> float:
        assert self.app is not None
        return float(self.app.state.loop_lag.longest_s)

    def reset_longest_block(self) -> None:
        assert self.app is not None
        self.app.state.loop_lag.reset()


@dataclass
class HubProcess(Hub):
    """A process: `log` is what it wrote to standard error."""

    process: asyncio.subprocess.Process | Forked | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log_file(self) -> Path:
        return self.settings.data_dir / "test-hub.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def start(self) -> None:
        """Start it (again), on the port it had before; returns when it accepts."""
        given = _given(self.settings, port=self.port if self.url else 0)
        with self.log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.support.serve_hub", json.dumps(given),
                cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.process = process
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S)
        assert line, f"the hub did not start:\n{self.log}"
        self.url = line.decode().strip()

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), END_WITHIN_S)

    async def kill(self) -> None:
        await self.end(signal.SIGKILL)

    @property
    def longest_block_s(self) -> float:
        """How long its event loop was blocked by itself, at most, in its newest life."""
        return longest_block_s(self.settings.data_dir)

    def cpu_s(self) -> float:
        """Seconds of a processor it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])

    def open_files_limit(self) -> int:
        limits = Path(f"/proc/{self.pid}/limits").read_text()
        return int(limits.partition("Max open files")[2].split()[0])

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextlib.asynccontextmanager
async def hub_process(folder: Path, **given: Any) -> AsyncIterator[HubProcess]:
    """`given` are settings."""
    settings, admin = await _prepared(folder, given)
    hub = HubProcess(settings, admin)
    async with running(hub):
        yield hub


@contextlib.asynccontextmanager
async def running(hub: HubProcess) -> AsyncIterator[None]:
    """From its start to its end, even if it was frozen meanwhile."""
    try:
        await hub.start()
        yield
    finally:
        if hub.process is not None and hub.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                hub.process.send_signal(signal.SIGCONT)
            await hub.kill()


@contextlib.asynccontextmanager
async def hub_here(folder: Path, **given: Any) -> AsyncIterator[HubHere]:
    """A hub in this event loop, with its whole lifespan and real sockets."""
    settings, admin = await _prepared(folder, given)
    app = create_app(settings)
    listener = listen(settings.host, 0)
    ready = asyncio.Event()
    server = HubServer(app, configuration(settings, app), ready.set)
    hub = HubHere(settings, admin, url_of(listener, tls=settings.tls), app, server)
    running = asyncio.ensure_future(hub_server.run(server, app, listener))
    waiting = asyncio.ensure_future(ready.wait())
    try:
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield hub
    finally:
        waiting.cancel()
        server.should_exit = True
        await running


async def _prepared(folder: Path, given: dict[str, Any]) -> tuple[Settings, Person]:
    settings = Settings.load({"data_dir": folder / "hub-data", "port": 0} | given, {})
    if "database_url" not in given:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_of_migrated_sqlite(path_of(settings.database_url))
    return settings, await People(settings).add("admin")


def _given(settings: Settings, port: int) -> dict[str, Any]:
    """The settings as JSON, to be loaded again by the other process."""
    names = [name for name in Settings.__dataclass_fields__ if name != "warnings"]
    values = {name: getattr(settings, name) for name in names} | {"port": port}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
