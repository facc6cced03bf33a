"""A lease from beginning to end, with nothing played: `run_hub.py`, `run_device.py`, a shell, a camera page, a file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import httpx
import pytest

from hub.settings import Settings
from tests.demo.test_mosaic_jpeg import decode
from tests.device.agent_process import ROOT
from tests.support.browser_client import BrowserClient
from tests.support.door_hub import DoorHub, door_hub
from tests.support.file_names import NAMES, UNFIT
from tests.support.free_ports import free_port
from tests.support.hub_people import MachineKey, People, Person
from tests.support.hub_process import Hub
from tests.support.remote_machine import RemoteMachine, remote_machine
from tests.support.remote_operator import RemoteOperator, rows
from tests.support.until import until_answered

SEEN_S = 30.0


class Scene(NamedTuple):
    """A live machine with a camera that is off, and an operator."""

    hub: Hub
    door: DoorHub
    machine: RemoteMachine
    operator: RemoteOperator
    key: MachineKey
    camera: int


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with door_hub(folder / "data") as door:
        settings = Settings.load({"data_dir": door.data, "port": door.port}, {})
        admin = await People(settings).add("admin")
        hub = Hub(settings, admin, door.url)
        await known(hub, admin)
        key = await hub.add_machine("Lobby")
        camera = free_port()
        service = {str(camera): {"start": [sys.executable, "-m", "demo.camera", "--port", str(camera)]}}
        async with remote_machine(folder / "machine", hub.url, key, ports=[camera], remote_services=service) as machine:
            operator = RemoteOperator(hub, admin)
            await operator.present(key)
            yield Scene(hub, door, machine, operator, key, camera)
        assert await door.end() == 0
        assert "Traceback" not in door.written + machine.log


async def known(hub: Hub, person: Person) -> None:
    """A person added beside a running hub is known to it in about a second."""
    async with hub.client(person.token) as client:

        async def is_known() -> bool:
            return (await client.get("/api/v2/rvms")).status_code == 200

        await until_answered(is_known)


@pytest.mark.timeout(180)
async def test_an_operator_looks_into_a_machine_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    async with scene(tmp_path) as here, BrowserClient.open(here.hub) as page:
        operator, key = here.operator, here.key
        session = await operator.lease(key, reason="kamera gelap", duration=900)
        assert session["ip_address"] == "127.0.0.1"
        machine = page.machines[key.id]
        await page.shows(lambda: machine["lease"] and machine["special_status"] == "maintenance", SEEN_S)
        assert machine["lease"]["id"] == session["id"]
        assert machine["lease"]["reason"] == "kamera gelap"

        async with operator.terminal(session["id"], cols=100, rows=30) as terminal:
            assert terminal.ready["recorded"] is True
            assert terminal.ready["user"] != "root"
            await terminal.type("stty size; id -u; echo halo $((6*7))\r")
            await terminal.shows(r"30 100\r\n[1-9][0-9]*\r\nhalo 42\r\n")
            await terminal.socket.send(json.dumps({"type": "resize", "cols": 60, "rows": 20}))
            await terminal.type("while stty size | grep -qv '^20 60'; do :; done; stty size\r")  # goes another way
            await terminal.shows(r"\n20 60\r\n")
        await camera_is_seen(here)
        await files_come_and_go(here)

        await operator.stop(key, reason="session_completed")
        await page.shows(lambda: machine["lease"] is None and machine["special_status"] is None, SEEN_S)
        assert machine["status"] == "active"
        ended = await operator.ended(key, session["id"])
        assert (ended["end_reason"], ended["admin_id"]) == ("stopped", here.hub.admin.id)
        await camera_is_off(here)
        await everything_is_on_record(here, session["id"])


async def camera_is_seen(here: Scene) -> None:
    """The machine's own page on its camera's port: the service is started for it, and its pictures move."""
    answer = await here.operator.ask("POST", f"/rvms/{here.key.id}/remote-access/pages", {"port": here.camera})
    assert answer.status_code in (200, 201), answer.text
    opened = answer.json()["data"]
    assert opened["mode"] == "sandbox"
    async with httpx.AsyncClient(base_url=here.hub.url, trust_env=False, timeout=30) as stranger:
        first = await stranger.get(opened["url"])
        assert "no real camera" in first.text, first.text
        policy = first.headers["content-security-policy"]
        assert "sandbox" in policy
        assert "allow-same-origin" not in policy
        stream = opened["url"].rstrip("/") + "/stream"
        async with stranger.stream("GET", stream) as pictures:
            seen = b""
            async for piece in pictures.aiter_raw():
                seen += piece
                if seen.count(b"--picture") > 3:
                    break
    whole = [part.partition(b"\r\n\r\n")[2][:-2] for part in seen.split(b"--picture")[1:-1]]
    assert len({*whole}) == len(whole), "the pictures move"
    assert decode(whole[-1])


async def camera_is_off(here: Scene) -> None:
    """What was started for the lease is stopped after it."""

    async def is_off() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", here.camera)
        except OSError:
            return True
        writer.close()
        return False

    await until_answered(is_off, 20)


async def files_come_and_go(here: Scene) -> None:
    content = bytes(range(256)) * 4000
    (here.machine.files / "sensor.log").write_bytes(content)
    path = f"/api/v2/rvms/{here.key.id}/remote-access/files"
    async with here.hub.client() as client:
        listed = await client.post(f"{path}/list", json={"path": str(here.machine.files)})
        assert listed.status_code == 200, listed.text
        assert "sensor.log" in listed.text
        taken = await client.post(f"{path}/download", json={"path": str(here.machine.files / "sensor.log")})
        assert hashlib.sha256(taken.content).digest() == hashlib.sha256(content).digest()
        target = here.machine.files / "baru.bin"
        sent = await client.post(
            f"{path}/upload", params={"path": str(target)}, content=content,
            headers={"Content-Type": "application/octet-stream"},
        )  # fmt: skip
        assert sent.status_code in (200, 201), sent.text
        assert target.read_bytes() == content
        for name in NAMES:
            await the_same_name_all_the_way(client, path, here.machine.files, name)
        await names_that_cannot_travel_are_marked(client, path, here.machine.files)
        outside = await client.post(f"{path}/download", json={"path": "/etc/passwd"})
        assert outside.status_code in (403, 404, 409, 422), outside.text


async def the_same_name_all_the_way(client: httpx.AsyncClient, path: str, folder: Path, name: str) -> None:
    """Up, in the listing, down again, and as the browser will call it."""
    sent = await client.post(f"{path}/upload", params={"path": f"{folder}/{name}"}, content=name.encode())
    assert sent.status_code == 201, sent.text
    assert (folder / name).read_text() == name
    listed = (await client.post(f"{path}/list", json={"path": str(folder)})).json()["data"]["entries"]
    assert [entry["unreachable"] for entry in listed if entry["name"] == name] == [None]
    taken = await client.post(f"{path}/download", json={"path": f"{folder}/{name}"})
    assert (taken.status_code, taken.text) == (200, name)
    _, _, encoded = taken.headers["Content-Disposition"].partition("filename*=UTF-8''")
    assert unquote(encoded) == name
    (folder / name).unlink()


async def names_that_cannot_travel_are_marked(client: httpx.AsyncClient, path: str, folder: Path) -> None:
    for name in UNFIT:
        os.close(os.open(os.fsencode(folder) + b"/" + name, os.O_CREAT | os.O_CLOEXEC))
    listed = (await client.post(f"{path}/list", json={"path": str(folder)})).json()["data"]["entries"]
    marked = [entry["name"] for entry in listed if entry["unreachable"]]
    assert sorted(marked) == sorted(["two\ufffdlines.txt", "latin1-\ufffd.txt", "esc\ufffd[2J", "next\ufffdline"])
    refused = await client.post(f"{path}/download", json={"path": f"{folder}/two\nlines.txt"})
    assert refused.status_code == 422, refused.text


async def everything_is_on_record(here: Scene, session_id: int) -> None:
    operator = here.operator
    for code in ("remote.started", "remote.terminal_opened", "remote.page_opened", "remote.file_downloaded",
                 "remote.file_uploaded", "remote.ended"):  # fmt: skip
        assert len(await operator.events(code)) == 1 + len(NAMES) * (".file_" in code), code
    found: list[dict[str, Any]] = []

    async def is_stored() -> bool:
        found[:] = rows(await operator.get(f"/rvms/{here.key.id}/remote-access/recordings"))
        return bool(found) and found[0]["state"] == "stored"

    await until_answered(is_stored)
    (recording,) = found
    assert recording["session_id"] == session_id
    played = await operator.ask("POST", f"/recordings/{recording['id']}/play")
    assert played.status_code == 200, played.text
    header, *lines = [json.loads(line) for line in played.text.splitlines()]
    assert (header["version"], header["width"], header["height"]) == (2, 100, 30)
    assert "halo 42" in "".join(line[2] for line in lines if line[1] == "o")
    assert all(line[1] != "i" for line in lines), "what was typed is not recorded unless it was asked for"


async def door(machine: RemoteMachine, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run_device.py"), *words, "--config", str(machine.config), cwd=ROOT,
        env={"RVM_BOOTSTRAP": "off", "LANG": "C"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.timeout(180)
async def test_a_technician_on_site_begins_and_ends_a_session_with_the_machines_key(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        operator, key = here.operator, here.key
        code, said = await door(here.machine, "remote", "start", "--reason", "ganti sabuk")
        assert code == 0, said
        shown = await operator.machine(key, lambda m: m["special_status"] == "maintenance")
        assert "ganti sabuk" in shown["status_reason"]
        (session,) = (await operator.get(f"/rvms/{key.id}/remote-access/status"))["sessions"]
        assert session["origin"] == "site"
        async with httpx.AsyncClient(trust_env=False, timeout=60) as technician:
            page = await technician.get(f"http://127.0.0.1:{here.machine.control_port}/")
            assert page.status_code == 200
            assert key.device_id in page.text
        code, said = await door(here.machine, "remote", "stop")
        assert code == 0, said
        ended = await operator.ended(key, session["id"])
        assert ended["end_reason"] == "stopped"
        await operator.machine(key, lambda m: m["special_status"] is None)
        assert [e["actor"] for e in await operator.events("remote.started")] == [f"machine:{key.id}"]
