"""A real agent in a lease: `run_device.py` on a machine of the benchmark's hub, and the person who holds the lease.

async with leased_agent(running, folder, allow=["terminal"]) as lease:
    lease.session, lease.cookie, lease.client        # REST by token, sockets by the browser's cookie
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench.bare_pty import ECHO
from bench.hub import ADMIN, Hub, free_port
from bench.processes import ROOT, end, on_core
from device.remote.service_user import choose

WAIT_S = 60.0
LOOK_S = 0.05


class Lease(NamedTuple):
    """`files` is the folder that may be read and filled."""

    session: int
    rvm_id: int
    url: str
    cookie: str
    client: httpx.AsyncClient
    files: Path


class LeaseError(Exception):
    """It did not come to a lease; says what the hub or the agent said."""


@contextlib.asynccontextmanager
async def leased_agent(
    running: Hub, folder: Path, *, machine: int = 0, url: str = "", **settings: Any
) -> AsyncIterator[Lease]:
    """On the other core than the hub; gone afterwards. `url` is where the agent finds the hub, if by another way."""
    hub_url = f"http://127.0.0.1:{running.server.port}"
    headers = {"Authorization": f"Bearer {running.seed.token}"}
    with _files() as files:
        config = _configuration(running, folder, files, machine, url or hub_url, settings)
        async with httpx.AsyncClient(base_url=hub_url, headers=headers, trust_env=False, timeout=120) as client:
            process = _start(config, folder)
            try:
                rvm_id = running.seed.ids[machine]
                session = await _open_lease(client, rvm_id, folder)
                yield Lease(session, rvm_id, hub_url, await _sign_in(hub_url, running.seed.password), client, files)
            finally:
                end(process)


@contextlib.contextmanager
def _files() -> Iterator[Path]:
    """A folder that the user of the agent's terminals may enter and fill, as nobody else can one of ours."""
    with tempfile.TemporaryDirectory(prefix="rvm-bench-") as name:
        files = Path(name).resolve()
        os.chown(files, choose("", os.geteuid()).uid, -1)
        yield files


def _configuration(running: Hub, folder: Path, files: Path, machine: int, url: str, settings: dict[str, Any]) -> Path:
    control = free_port()
    values = {
        "myrvm_base_url": url, "api_token": running.seed.keys[machine], "rvm_id": running.seed.devices[machine],
        "system_control": False, "auto_sync_enabled": False, "admin_ips": ["127.0.0.1/32"],
        "remote_access_port": control, "remote_access_ports": [control], "terminal_command": ECHO,
        "remote_download_folders": [str(files)], "remote_upload_folders": [str(files)], **settings,
    }  # fmt: skip
    config = folder / "agent.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(values), encoding="utf-8")
    return config


def _start(config: Path, folder: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
    command = [sys.executable, str(ROOT / "run_device.py"), "--config", str(config)]
    with (folder / "agent.log").open("a") as log, on_core(1):
        return subprocess.Popen(
            command, cwd=ROOT, env=environment | {"RVM_BOOTSTRAP": "off"}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, text=True,
        )  # fmt: skip


async def _open_lease(client: httpx.AsyncClient, rvm_id: int, folder: Path) -> int:
    """As soon as the machine is there."""
    path = f"/api/v2/rvms/{rvm_id}/remote-access"
    ends = time.monotonic() + WAIT_S
    while time.monotonic() < ends:
        answer = await client.post(f"{path}/start", json={"reason": "bench", "allow": ["terminal", "ports", "files"]})
        if answer.status_code == 201:
            break
        await asyncio.sleep(LOOK_S)
    else:
        raise LeaseError(f"{answer.text}\n{(folder / 'agent.log').read_text()[-2000:]}")
    number = int(answer.json()["data"]["id"])
    while time.monotonic() < ends:
        status = (await client.get(f"{path}/status")).json()["data"]
        if any(session["id"] == number and session["status"] == "active" for session in status["sessions"]):
            return number
        await asyncio.sleep(LOOK_S)
    raise LeaseError(f"{status}\n{(folder / 'agent.log').read_text()[-2000:]}")


async def _sign_in(url: str, password: str) -> str:
    async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"Origin": url}) as browser:
        await browser.post("/login", data={"email": ADMIN, "password": password})
        return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
