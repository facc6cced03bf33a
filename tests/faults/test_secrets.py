"""No secret is where it must not be: in a log, in the database as it is, in arguments or environment of a process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from hub.web import csrf
from tests.support.door_agent import door_agent
from tests.support.door_hub import DoorHub, door_hub
from tests.support.door_process import REPOSITORY
from tests.support.hub_people import MachineKey
from tests.support.until import until

PASSWORD = "kanari kuning di dalam sangkar 77"


def add_user(hub: DoorHub, folder: Path) -> None:
    """At the terminal, with the password in a file."""
    file = folder / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    words = ["user", "add", "op@example.test", "--role", "operator", "--password-file", file, "--data-dir", hub.data]
    environ = {**os.environ, "RVM_BOOTSTRAP": "off", "RVM_LANG": "en"}
    subprocess.run(
        [sys.executable, str(REPOSITORY / "run_hub.py"), *map(str, words)],
        check=True, capture_output=True, timeout=60, env=environ,
    )  # fmt: skip
    file.unlink()


async def issued(hub: DoorHub, folder: Path) -> tuple[dict[str, str], MachineKey]:
    """One secret of each kind, made and used."""
    async with hub.signed_in() as browser:
        cookie = next(iter(browser.cookies.values()))
        proof = {csrf.HEADER: csrf.token_for(cookie)}
        made = await browser.post("/api/v2/tokens", json={"name": "canary"}, headers=proof)
        assert made.status_code == 201, made.text
        added = await browser.post("/api/v2/rvms", json={"name": "Lobby"}, headers=proof)
        assert added.status_code == 201, added.text
    machine = added.json()["data"]
    await asyncio.to_thread(add_user, hub, folder)
    async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=20) as client:
        wanted = {"email": "op@example.test", "password": PASSWORD}
        login = await client.post("/api/v2/auth/login", json=wanted)
        assert login.status_code == 200, login.text
        secrets = {
            "sign-in link": hub.link.partition("#")[2],
            "session cookie": cookie,
            "user token": made.json()["data"]["token"],
            "machine key": machine["api_key"],
            "password": PASSWORD,
            "login token": login.json()["data"]["token"],
        }
        # People make mistakes: secrets in addresses, in names, in the wrong header.
        for secret in secrets.values():
            await client.get("/api/v2/rvms", params={"token": secret})
            await client.get(f"/{secret.replace(' ', '')}")
            await client.get("/api/v2/rvms", headers={"Authorization": f"Basic {secret}"})
        await client.post("/api/v2/auth/login", json={"email": PASSWORD, "password": secrets["user token"]})
        assert (await client.get("/api/v2/rvms", headers=bearer(secrets["user token"]))).status_code == 200
    return secrets, MachineKey(machine["id"], machine["device_id"], machine["api_key"])


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def proc(pid: int) -> bytes:
    """Arguments and environment, as everybody on this computer may see the former and its user the latter."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(120)
async def test_no_secret_is_in_logs_database_arguments_or_environment(tmp_path: Path) -> None:
    async with door_hub(tmp_path / "data") as hub:
        secrets, key = await issued(hub, tmp_path)
        seen: dict[str, bytes] = {}
        async with door_agent(tmp_path / "agent", hub.url, key, metrics_interval=0.2) as agent:
            await until(lambda: "connected to the hub" in agent.log, 20)
            async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=30) as admin:
                path = f"/api/v2/rvms/{key.id}/status?wait=20"
                asked = await admin.patch(path, json={"status": "maintenance"}, headers=bearer(secrets["user token"]))
                assert asked.json()["data"]["status"] == "maintenance"
                for page in (
                    "/api/v2/rvms",
                    f"/api/v2/rvms/{key.id}",
                    "/api/v2/tokens",
                    "/api/v2/users",
                    "/api/v2/events",
                ):
                    answer = await admin.get(page, headers=bearer(secrets["user token"]))
                    assert answer.status_code == 200, page
                    seen[f"the answer of {page}"] = answer.content + str(answer.headers).encode()
            for process in (*hub.process.family(), *_family(agent.pid)):
                seen[f"process {process.pid} {process.name()}"] = proc(process.pid)
            seen |= files_of(hub.data)  # with the write-ahead log, as it is now
            await agent.stop()
            await hub.end()
            seen |= {f"{name} afterwards": data for name, data in files_of(hub.data).items()}
            seen |= {"the hub's log": hub.written.encode(), "the agent's log": agent.log.encode()}
            seen |= files_of(tmp_path / "agent" / "machine.json.state")
        assert "Traceback" not in hub.written + agent.log
    assert min(map(len, secrets.values())) > 20
    assert len(seen) > 12
    found = [(kind, where) for kind, text in secrets.items() for where, data in seen.items() if text.encode() in data]
    assert found == []


def _family(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


@pytest.mark.parametrize(
    "token", ["changeme-changeme-changeme", "your-api-token-goes-here", "<API_TOKEN>-placeholder", ""]
)
async def test_the_agent_refuses_a_key_that_everybody_knows(tmp_path: Path, token: str) -> None:
    key = MachineKey(1, "rvm-1", token)
    async with door_agent(tmp_path / "agent", "http://127.0.0.1:1", key) as agent:
        assert agent.process is not None
        assert await asyncio.wait_for(agent.process.wait(), 30) == 3
        assert not token or token not in agent.log
