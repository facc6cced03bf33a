"""No secret is where it must not be: in a log, in the database as it is, in arguments or environment of a process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from msgspec.structs import fields

from hub.cli.start import FIRST_EMAIL
from hub.model import credentials
from hub.routes import OPERATIONS
from hub.web.auth import origin
from tests.support.door_agent import door_agent
from tests.support.door_hub import DoorHub, door_hub
from tests.support.door_process import REPOSITORY
from tests.support.hub_people import MachineKey
from tests.support.until import PATIENCE_S, until

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
        proof = {origin.CSRF_HEADER: origin.new_csrf_token(cookie)}
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


def operations_to_read(key: MachineKey) -> list[str]:
    """Everything an administrator can look at by REST."""
    names = {
        "{id}": key.id, "{device_id}": key.device_id, "{user_id}": 1, "{key}": "cpu_threshold",
        "{cause}/preview": "hot/preview?limit=60",
    }  # fmt: skip
    paths = [f"/api{operation.path}" for operation in OPERATIONS if operation.method == "GET"]
    for name, value in names.items():
        paths = [path.replace(name, str(value)) for path in paths]
    return paths


def pages_to_read(key: MachineKey) -> list[str]:
    """Every page that shows something of its own."""
    tabs = ("", "/events", "/settings", "/remote", "/do/reboot")
    other = ("/", "/account", "/help", "/jobs", "/events", "/machines/add", "/admin/users", "/admin/tokens")
    return [*other, "/admin/settings", *(f"/machines/{key.id}{tab}" for tab in tabs)]


def printed(hub: DoorHub, *words: str) -> bytes:
    """What a command says, on either stream."""
    said = subprocess.run(
        [sys.executable, str(REPOSITORY / "run_hub.py"), *words, "--data-dir", str(hub.data)],
        capture_output=True, timeout=60, check=False, env={**os.environ, "RVM_BOOTSTRAP": "off", "RVM_LANG": "en"},
    )  # fmt: skip
    return said.stdout + said.stderr


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
                for page in (*operations_to_read(key), "/api/v2/tokens?user=all"):
                    answer = await admin.get(page, headers=bearer(secrets["user token"]))
                    # For the machine itself, or for who is signed in.
                    closed = page.endswith(("/archive", "/manifest", "/key", "/two-step"))
                    assert answer.status_code in ((403,) if closed else (200, 404)), (page, answer.status_code)
                    seen[f"the answer of {page}"] = answer.content + str(answer.headers).encode()
                for page in pages_to_read(key):
                    answer = await admin.get(page, headers={"Cookie": f"rvm_session={secrets['session cookie']}"})
                    assert answer.status_code == 200, (page, answer.status_code)
                    seen[f"the page {page}"] = answer.content + str(answer.headers).encode()
            for words in (("user", "list"), ("token", "list"), ("machine", "list"), ("doctor",)):
                seen[" ".join(words)] = await asyncio.to_thread(printed, hub, *words)
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
    assert len(seen) > 50
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
        assert await asyncio.wait_for(agent.process.wait(), PATIENCE_S) == 3
        assert not token or token not in agent.log


async def test_a_new_hub_has_no_password_at_all(tmp_path: Path) -> None:
    """Its first administrator comes in by a link that works once; nothing that anybody knows opens it."""
    async with door_hub(tmp_path / "data") as hub:
        async with httpx.AsyncClient(base_url=hub.url, trust_env=False, timeout=20) as client:
            for password in ("", "admin", "Administrator", "myrvm", credentials.EXAMPLE_PASSWORD):
                tried = await client.post("/api/v2/auth/login", json={"email": FIRST_EMAIL, "password": password})
                assert tried.status_code in (401, 429), password
        shown = json.loads(await asyncio.to_thread(printed, hub, "user", "list", "--json"))
    assert [(user["email"], user["has_password"]) for user in shown["users"]] == [(FIRST_EMAIL, False)]


def test_no_operation_takes_a_secret_in_its_address() -> None:
    """Addresses stand in logs, histories and Referer headers."""
    named = {
        name
        for operation in OPERATIONS
        for name in (*re.findall(r"{(\w+)}", operation.path), *(f.encode_name for f in fields(operation.query)))
    }
    assert named
    assert {name for name in named if re.search("secret|token$|password|key$|ticket|api_key", name)} == {"key", "token"}
    assert [o.path for o in OPERATIONS if "{key}" in o.path] == ["/v2/rvms/{id}/config/{key}"] * 2, "a setting's name"
    links = [o.path for o in OPERATIONS if "{token}" in o.path]
    assert links == ["/v2/backup-downloads/{token}"], "a link that opens once, within a minute"
