"""A machine's key is renewed over its link, by a real hub and a real agent: exactly one key works afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocol.enrolment import key_hash
from tests.device.agent_process import AgentProcess, running_agent
from tests.support.command_line import command_line
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess, hub_process
from tests.support.until import until_answered


class Renewal:
    """The machine `key`, as an administrator sees it."""

    def __init__(self, hub: HubProcess, client: httpx.AsyncClient, key: MachineKey, agent: AgentProcess) -> None:
        self.hub = hub
        self.client = client
        self.key = key
        self.agent = agent
        self.path = f"/api/v2/rvms/{key.id}"

    async def asked(self, path: str = "") -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(self.path + path)).json()["data"]
        return found

    async def until_live(self) -> None:
        async def it_is() -> bool:
            return bool((await self.asked())["connection"] == "live")

        await until_answered(it_is, every=0.1)

    async def renew(self) -> str:
        answer = await self.client.post(f"{self.path}/key/renewal")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["id"])

    async def ended(self, command_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/api/v2/commands/{command_id}?wait=30")).json()["data"]
        return found

    async def until_renewed(self, old: str) -> str:
        """The key in the machine's file, which is the only one that works."""

        async def it_is() -> bool:
            shown = await self.asked("/key")
            return shown["renewal"] is None and not old.startswith(shown["api_key_prefix"])

        await until_answered(it_is, every=0.1)
        await self.until_live()

        async def is_written() -> bool:
            return self.written() != old

        await until_answered(is_written, every=0.1)
        assert await self.works(self.written())
        assert not await self.works(old)
        return self.written()

    async def until_idle(self) -> None:
        """Every command has ended."""

        async def it_is() -> bool:
            return not (await self.client.get(f"{self.path}/commands?state=open")).json()["data"]

        await until_answered(it_is, every=0.1)

    def written(self) -> str:
        return str(json.loads(self.agent.config.read_text())["api_token"])

    async def works(self, key: str) -> bool:
        async with self.hub.client(key) as machine:
            return (await machine.get(f"{self.path}/status")).status_code == 200


@pytest.mark.timeout(120)
async def test_a_key_is_renewed_over_the_link_and_nobody_sees_it(tmp_path: Path) -> None:
    async with hub_process(tmp_path / "hub") as hub, hub.client() as client:
        key = await hub.add_machine("rvm-1")
        own = {"api_token": key.api_key, "rvm_id": key.device_id, "disk_path": "/"}
        (tmp_path / "agent").mkdir()
        async with running_agent(tmp_path / "agent", hub.url, **own) as agent:
            renewal = Renewal(hub, client, key, agent)
            await renewal.until_live()
            command_id = await renewal.renew()
            again = await client.post(f"{renewal.path}/key/renewal")
            assert again.json()["code"] == "renewal_open" or again.status_code == 202  # it may have ended by then
            ended = await renewal.ended(command_id)
            assert ended["state"] == "succeeded", ended
            new = await renewal.until_renewed(key.api_key)
            written = json.loads(agent.config.read_text())
            assert {**written, "api_token": key.api_key} == {**written, **own}  # all else as it was
            assert agent.config.stat().st_mode & 0o777 == 0o600
            events = (await client.get("/api/v2/events?limit=200")).json()["data"]
            assert {"machine.key_offered", "machine.key_renewed"} <= {event["code"] for event in events}
            database = b"".join(path.read_bytes() for path in hub.settings.data_dir.glob("*.sqlite3*"))
            for secret in (new, key.api_key):
                assert secret not in agent.log + hub.log + json.dumps(events)
                assert secret.encode() not in database
            assert key_hash(new).encode() in database
            await agent.stop()
            await agent.start()
            await renewal.until_live()


@pytest.mark.timeout(180)
async def test_the_command_line_has_the_running_hub_renew_it_and_waits(tmp_path: Path, database_url: str) -> None:
    async with hub_process(tmp_path / "hub", database_url=database_url) as hub, hub.client() as client:
        key = await hub.add_machine("rvm-1")
        (tmp_path / "agent").mkdir()
        async with running_agent(tmp_path / "agent", hub.url, api_token=key.api_key, rvm_id=key.device_id) as agent:
            renewal = Renewal(hub, client, key, agent)
            await renewal.until_live()
            code, shown = await command_line(hub, "renew-key", key.device_id)
            assert (code, shown["state"], shown["id"]) == (0, "succeeded", key.id), shown
            new = await renewal.until_renewed(key.api_key)
            assert new.startswith(shown["api_key_prefix"])
            command = await renewal.ended(shown["command"])
            assert (command["state"], command["issued_by"]) == ("succeeded", "system")
            agent.environ = {"RVM_API_TOKEN": new}
            await agent.stop()
            await agent.start()
            await renewal.until_live()
            code, shown = await command_line(hub, "renew-key", "rvm-1")
            assert (code, shown["error"]["code"]) == (1, "renewal_rejected")
            assert "the key stands in the environment" in shown["error"]["message"]
        assert (await command_line(hub, "renew-key", "rvm-9"))[0] == 5


@pytest.mark.timeout(120)
async def test_a_file_that_the_agent_does_not_own_stays_and_the_environment_is_refused(tmp_path: Path) -> None:
    async with hub_process(tmp_path / "hub") as hub, hub.client() as client:
        key = await hub.add_machine("rvm-1")
        (tmp_path / "agent").mkdir()
        async with running_agent(tmp_path / "agent", hub.url, api_token=key.api_key, rvm_id=key.device_id) as agent:
            renewal = Renewal(hub, client, key, agent)
            await renewal.until_live()
            await agent.stop()
            os.chown(agent.config, 1, 1)
            before = agent.config.read_bytes()
            for renewed in (1, 2):
                await agent.start()
                await renewal.until_live()
                ended = await renewal.ended(await renewal.renew())
                assert ended["state"] == "succeeded", ended
                assert (await renewal.asked("/key"))["api_key_prefix"] == ended["result"]["key_prefix"]
                assert not await renewal.works(key.api_key)
                await agent.stop()
                assert agent.config.read_bytes() == before, renewed
            agent.environ = {"RVM_API_TOKEN": key.api_key}
            await agent.start()  # the same key, so that the renewed one counts
            await renewal.until_live()
            ended = await renewal.ended(await renewal.renew())
            assert (ended["state"], ended["error"]["code"]) == ("rejected", "key_in_environment")
            await renewal.until_live()
