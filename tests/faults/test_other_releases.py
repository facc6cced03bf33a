"""A hub and agents of other releases: recorded frames are understood or answered, and no link ends (bar 36)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol import messages as m
from tests.device.agent_process import running_agent
from tests.protocol.golden import Frame, frames
from tests.support.fake_hub import fake_hub, rfc3339
from tests.support.forked_hub import forked_hub
from tests.support.hub_people import MachineKey
from tests.support.machine_client import MachineClient
from tests.support.orders import Operator
from tests.support.until import until

DEVICE_ID = "rvm-jakarta-07"
FIRST_WORDS = ("auth", "auth_minimal", "hello", "hello_in_a_session", "hello_minimal")
LAST_WORDS = ("bye", "bye_reboot", "bye_update")
CODES = {"ping": None, "set_status": None, "reboot": "not_permitted", "levitate": "unsupported"}
"""How the agent of this computer, which may not change it, ends what is asked; nobody knows how to levitate."""
ENDS_THE_LINK = ("welcome", "welcome_authority", "welcome_minimal", "restarting")


def recorded(release: str, speaker: str, without: tuple[str, ...]) -> list[Frame]:
    return [frame for frame in frames(release) if frame.speaker == speaker and frame.name not in without]


def hello(release: str) -> dict[str, Any]:
    (found,) = [f for f in frames(release) if (f.speaker, f.name) == ("machine", "hello")]
    said: dict[str, Any] = json.loads(found.text)
    del said["type"], said["device_id"]
    known = m.Hello.__struct_fields__
    return {name: value for name, value in said.items() if name in known}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("release", ["0.1.0", "0.2.0", "newer"])
async def test_a_machine_of_another_release_is_read_and_commanded(tmp_path: Path, release: str) -> None:
    async with forked_hub(tmp_path, device_frames_per_second=0) as hub, hub.client() as client:
        answer = await client.post("/api/v2/rvms", json={"name": "Lobby", "device_id": DEVICE_ID})
        data = answer.json()["data"]
        key, operator = MachineKey(data["id"], DEVICE_ID, data["api_key"]), Operator(hub, client)
        async with MachineClient.connect(hub.websocket_url, key) as machine:
            # A later agent that also speaks our version says so in its first word.
            await machine.say_hello(**{**hello(release), "protocol": 2, "capabilities": ["ping", "set_status"]})
            for frame in recorded(release, "machine", (*FIRST_WORDS, *LAST_WORDS)):
                await machine.socket.send(frame.text)
            request = await operator.insist(key, "set_status", {"status": "inactive"}, once="request")
            heard = await machine.hear(m.Command)
            assert (heard.id, heard.args["status"]) == (request["id"], "inactive")
            for state in ("accepted", "succeeded"):
                await machine.say(m.CommandUpdate(id=heard.id, state=state))
            assert (await operator.end(request["id"]))["state"] == "succeeded"
            unknown = await operator.insist(key, "restart_service", {"service": "camera"}, once="unknown")
            heard = await machine.hear(m.Command)
            failure = m.Failure(code="unsupported", message="this machine does not know this command")
            await machine.say(m.CommandUpdate(id=heard.id, state="rejected", error=failure))
            end = await operator.end(unknown["id"])
            assert (end["state"], end["error"]["code"]) == ("rejected", "unsupported")
            errors = [said for said in machine._unheard if isinstance(said, m.Error)]
            refused = {(error.code, error.ref if error.code == "invalid" else None) for error in errors}
            asked_for = {("unknown_command", None), ("invalid", "config_applied"), ("key_refused", None)}
            assert refused <= asked_for, "what it never was given"
            await machine.socket.send('{"type":"bye","reason":"shutdown","later":1}')
        await until(lambda: "link ended, shutdown" in hub.log)
        assert "Traceback" not in hub.log


@pytest.mark.timeout(60)
@pytest.mark.parametrize("release", ["0.1.0", "0.2.0", "newer"])
async def test_an_agent_understands_or_refuses_what_another_hub_says(tmp_path: Path, release: str) -> None:
    async with fake_hub() as hub, running_agent(tmp_path, hub.url, auto_sync_enabled=False):
        link = await hub.connected(1, 20)
        soon = rfc3339(hub.now().replace(year=hub.now().year + 1))
        asked: dict[str, str] = {}
        for number, frame in enumerate(recorded(release, "hub", ENDS_THE_LINK)):
            said = json.loads(frame.text)
            if said["type"] == "command":
                said |= {"id": f"{release} {number}", "expires_at": soon}
                asked[said["id"]] = said["name"]
            await link.socket.send(json.dumps(said))
        ping = hub.command("ping")
        await link.say(ping)
        assert (await hub.answer(ping)).state == "succeeded"
        await hub.until(lambda: set(asked) <= set(hub.updates), 20)
        for command_id, name in asked.items():
            update = hub.updates[command_id][0]
            # This test computer's agent may not change its computer; what no release knows is unsupported.
            wanted = {"ping": None, "set_status": None, "levitate": "unsupported"}.get(name, "not_permitted")
            code = None if update.error is None else update.error.code
            if name.endswith("_remote_access"):  # what becomes of a session is told by its own tests
                assert update.state in ("accepted", "running", "succeeded", "rejected"), update
                continue
            assert code in (wanted, "unsupported", "not_allowed") if wanted == "not_permitted" else code == wanted, (
                update
            )
        assert len(hub.links) == 1, "no link ended"
