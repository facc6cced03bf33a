"""`run_device.py enrol` against a real hub: approval, refusal, and kill -9 at every step."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from certs.bundle import read_bundle
from device.cli.main import main
from device.enrolment import service
from device.settings import load
from hub.model.credentials import recognise
from protocol.enrolment import fingerprint, key_hash
from tests.support.certificates import TestAuthority
from tests.support.door_agent import DoorAgent
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.hub_process import ROOT, HubProcess
from tests.support.until import until, until_answered

VICTIM = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
step = int(sys.argv[2])
from device.enrolment import rules, service
from device.kernel import state_file
from device.api_client import ApiClient
count = 0
def counted(original, after):
    def wrapped(*a, **k):
        global count
        if not after:
            count += 1
            if count == step:
                os._exit(137)
        found = original(*a, **k)
        if after:
            count += 1
            if count == step:
                os._exit(137)
        return found
    return wrapped
state_file.write_bytes = counted(counted(state_file.write_bytes, False), True)
ApiClient.enrol = counted(counted(ApiClient.enrol, False), True)
service.MachineEnrolment.drop = counted(counted(service.MachineEnrolment.drop, False), True)
from certs.bundle import read_bundle
from device.cli.main import main
sys.exit(main(sys.argv[3:], {}))
"""
STEPS = 8
"""Before and after: what was begun is written, the hub is asked, the machine's file is written, what was begun goes."""


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    async with forked_hub(tmp_path) as made:
        yield made


async def new_code(hub: HubProcess, **wanted: Any) -> str:
    async with hub.client() as admin:
        answer = await admin.post("/api/v2/enrolment-codes", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["code"])


async def enrol(hub: HubProcess, config: Path, code: str | None, *words: str, step: int = 0) -> tuple[int, str, str]:
    given = () if code is None else ("--code", "-")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, str(ROOT), str(step), "enrol", hub.url, *given, "--config", str(config), *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    out, errors = await process.communicate(b"" if code is None else f"{code}\n".encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def waiting(admin: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await admin.get("/api/v2/enrolments?state=waiting")).json()["data"]
    return found


async def test_a_machine_waits_is_approved_and_its_agent_connects(hub: HubProcess, tmp_path: Path) -> None:
    config, code = tmp_path / "board" / "machine.json", await new_code(hub)
    work = asyncio.ensure_future(enrol(hub, config, code.lower(), "--json"))
    async with hub.client() as admin:
        await until_answered(lambda: waiting(admin))
        came = await waiting(admin)
        answer = await admin.post(f"/api/v2/enrolments/{came[0]['id']}/approve", json={"name": "Kantin"})
        assert answer.status_code == 200
        ended, out, errors = await work
        assert ended == 0, errors
        shown = json.loads(out)
        assert (shown["state"], shown["name"], shown["fingerprint"]) == ("approved", "Kantin", came[0]["fingerprint"])
        assert shown["fingerprint"] in errors
        assert code not in errors + out
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert [path.name for path in config.parent.iterdir()] == ["machine.json"]
        key = json.loads(config.read_text())["api_token"]
        agent = DoorAgent(tmp_path / "agent", hub.url, MachineKey(0, shown["device_id"], key))
        await agent.start()
        try:
            await until(lambda: "connected to the hub" in agent.log, 20)
        finally:
            await agent.kill()


@pytest.mark.timeout(120)
async def test_killed_at_every_step_it_enrols_once_and_without_a_new_code(hub: HubProcess, tmp_path: Path) -> None:
    names = set()
    for step in range(1, STEPS + 1):
        config, code = tmp_path / f"board{step}" / "machine.json", await new_code(hub, approval="at_once")
        ended, _, errors = await enrol(hub, config, code, step=step)
        assert ended == 137, (step, errors)
        written = (config.parent / "machine.json.enrolment").exists()
        # What was not written yet has to be typed again; a file that is done is done.
        done = config.exists() and not written
        again = ("--again",) if done else ()
        if not done:
            ended, out, errors = await enrol(hub, config, None if written else code, *again, "--json")
            assert ended == 0, (step, errors)
            names.add(json.loads(out)["name"])
        settings = load(config, {})
        async with hub.client(settings.api_token) as machine:
            assert (await machine.get("/api/v2/rvms")).status_code == 200, step
        assert [path.name for path in config.parent.iterdir()] == ["machine.json"], step
    async with hub.client() as admin:
        machines = (await admin.get("/api/v2/rvms")).json()["data"]
    assert len(machines) == STEPS, "one machine each, however often it was killed"
    assert len(names) >= STEPS - 1


async def test_a_refused_machine_leaves_nothing_and_says_so(hub: HubProcess, tmp_path: Path) -> None:
    config, code = tmp_path / "board" / "machine.json", await new_code(hub)
    ended, _, errors = await enrol(hub, config, code, "--wait", "0")
    assert (ended, "RVM" not in errors) == (4, True), errors
    async with hub.client() as admin:
        (came,) = await waiting(admin)
        await admin.post(f"/api/v2/enrolments/{came['id']}/reject")
    ended, out, errors = await enrol(hub, config, None)
    assert (ended, out) == (2, "")
    assert came["fingerprint"] in errors
    assert list(config.parent.iterdir()) == []


async def test_a_used_code_is_refused_with_the_fix(hub: HubProcess, tmp_path: Path) -> None:
    code = await new_code(hub, approval="at_once")
    assert (await enrol(hub, tmp_path / "one" / "machine.json", code))[0] == 0
    ended, _, errors = await enrol(hub, tmp_path / "two" / "machine.json", code)
    assert ended == 2
    assert "Make a new one" in errors
    again = await new_code(hub, approval="at_once")
    assert (await enrol(hub, tmp_path / "two" / "machine.json", again))[0] == 0


async def test_a_hub_with_its_own_authority_is_proven_first_and_pinned(tmp_path: Path) -> None:
    """And a stranger with another one gets neither code nor key."""
    own, stranger = TestAuthority(tmp_path / "own"), TestAuthority(tmp_path / "other")
    pem = own.hub()
    async with forked_hub(tmp_path, tls_cert=pem, tls_key=pem, tls_authority=own.crt) as hub:
        trust = ssl.create_default_context(cafile=str(own.crt))
        headers = {"Authorization": f"Bearer {hub.admin.session}"}
        async with httpx.AsyncClient(
            base_url=hub.url, headers=headers, verify=trust, trust_env=False, timeout=60
        ) as admin:
            made = await admin.post("/api/v2/enrolment-codes", json={"approval": "at_once"})
            code = str(made.json()["data"]["code"])
            config = tmp_path / "board" / "machine.json"
            ended, _, errors = await enrol(hub, config, code)
            assert (ended, "cannot be reached" in errors) == (1, True), errors
            wrong = read_bundle(stranger.crt).fingerprints[0]
            ended, _, errors = await enrol(hub, config, None, "--authority", wrong)
            assert (ended, "nothing was sent" in errors) == (1, True), errors
            (usable,) = (await admin.get("/api/v2/enrolment-codes")).json()["data"]
            assert usable["used"] == 0
            ended, _, errors = await enrol(hub, config, None, "--authority", read_bundle(own.crt).fingerprints[0])
            assert ended == 0, errors
        settings = load(config, {})
        assert config.with_name("hub_ca.pem").read_bytes() == own.pem
        async with httpx.AsyncClient(verify=settings.hub_trust.context(), trust_env=False, timeout=60) as machine:
            asked = {"Authorization": f"Bearer {settings.api_token}"}
            assert (await machine.get(f"{hub.url}/api/v2/rvms", headers=asked)).status_code == 200


def verb(*words: str, environ: dict[str, str] | None = None) -> int:
    return main(["enrol", *words], environ or {})


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize(
    ("words", "code", "ends"),
    [
        (("http://127.0.0.1:9", "--code", "RVM-7K4Q-9D2M-3XHT"), "enrol_code_argv", 2),
        (("http://127.0.0.1:9", "--code-file", "/nowhere"), "enrol_code_file", 2),
        (("http://127.0.0.1:9",), "enrol_no_code", 2),
        (("http://hub.example", "--code", "-"), "enrol_plain_http", 3),
        (("ftp://hub.example", "--code", "-"), "wrong_url", 3),
        (("https://me:secret@hub.example", "--code", "-"), "secret_in_url", 3),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...],
    code: str, ends: int, language: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", Path(os.devnull).open())  # noqa: SIM115
    config = tmp_path / "machine.json"
    assert verb(*words, "--config", str(config), "--json", environ={"RVM_LANG": language}) == ends
    said = json.loads(capsys.readouterr().err)["error"]
    assert said["code"] == code
    assert not config.exists()


def test_a_mistyped_code_is_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "code"
    file.write_text("RVM-OOOO-1111-2222\n")
    file.chmod(0o600)
    words = ("http://127.0.0.1:9", "--code-file", str(file), "--config", str(tmp_path / "machine.json"))
    assert verb(*words) == 2
    assert "three groups of four" in capsys.readouterr().err


def test_a_machine_with_a_key_is_left_alone_and_so_is_what_is_no_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, config = tmp_path / "code", tmp_path / "machine.json"
    file.write_text("RVM-7K4Q-9D2M-3XHT\n")
    file.chmod(0o600)
    for content, ends, word in (('{"api_token": "x"}', 2, "--again"), ("[", 3, "JSON"), ("[]", 3, "JSON")):
        config.write_text(content)
        assert verb("http://127.0.0.1:9", "--code-file", str(file), "--config", str(config)) == ends
        assert word in capsys.readouterr().err
        assert config.read_text() == content


def test_a_hub_that_is_away_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = tmp_path / "code", tmp_path / "machine.json"
    file.write_text("RVM-7K4Q-9D2M-3XHT\n")
    file.chmod(0o600)
    environ = {"RETRY_ATTEMPTS": "1"}
    assert verb("http://127.0.0.1:9", "--code-file", str(file), "--config", str(config), environ=environ) == 1
    assert "nothing was lost" in capsys.readouterr().err
    pending = config.with_name("machine.json.enrolment")
    assert stat.S_IMODE(pending.stat().st_mode) == 0o600


def test_a_key_of_ours_is_a_key_to_the_hub() -> None:
    keys = {service.new_key() for _ in range(50)}
    assert len(keys) == 50
    for key in keys:
        shape = recognise(key)
        assert shape is not None
        assert (shape.kind, shape.prefix, shape.hash) == ("key", key[:13], key_hash(key))
        assert len(fingerprint(shape.hash)) == 23
