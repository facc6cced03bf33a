"""kill -9 of the agent and of the hub at every step of a key's renewal, on both databases: the machine connects
afterwards, and exactly one key works.

Steps on the machine: the new key is kept (offered), kept as the one to use (adopted), kept as the only one (confirmed),
written into its file, the note of that kept. In the hub: the new hash is committed (offer), the old one replaced
(renewal), each before and after; the machine is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.device.agent_process import AgentProcess
from tests.end_to_end.test_key_renewal import Renewal
from tests.support.crash_points import KILLED, Plan
from tests.support.fork_server import fork
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.until import PATIENCE_S

AGENT = (
    "offered to keep", "offered kept", "adopted to keep", "adopted kept", "confirmed to keep", "confirmed kept",
    "file to write", "file written", "written to keep", "written kept",
)  # fmt: skip
HUB = ("offer to commit", "offer committed", "key received", "renewal to commit", "renewal committed")


class ForkedAgent(AgentProcess):
    async def start(self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        assert stdin == asyncio.subprocess.DEVNULL
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RVM_")} | {"LANG": "C"}
        given = {"arguments": ["--config", str(self.config), *arguments], "environ": environ}
        self.process = await fork("agent", self.folder / "log", given)


@contextlib.asynccontextmanager
async def renewal_of(tmp_path: Path, hub: ForkedHub, client: httpx.AsyncClient) -> AsyncIterator[Renewal]:
    key = await hub.add_machine("rvm-1")
    folder = tmp_path / "agent"
    folder.mkdir()
    agent = ForkedAgent(folder, hub.url, api_token=key.api_key, rvm_id=key.device_id)
    await agent.start()
    try:
        renewal = Renewal(hub, client, key, agent)
        await renewal.until_live()
        yield renewal
    finally:
        await agent.kill()


async def killed(of: AgentProcess | ForkedHub, renewal: Renewal) -> None:
    """By itself, at the step it was told."""
    with contextlib.suppress(httpx.HTTPError):  # a hub may die before its answer leaves
        await renewal.client.post(f"{renewal.path}/key/renewal")
    assert of.process is not None
    assert await asyncio.wait_for(of.process.wait(), PATIENCE_S) == KILLED
    await of.start()


@pytest.mark.timeout(600)
async def test_one_key_works_wherever_one_side_is_killed(tmp_path: Path, database_url: str) -> None:
    async with (
        forked_hub(tmp_path / "hub", database_url=database_url, device_frames_per_second=0) as hub,
        hub.client() as client,
        renewal_of(tmp_path, hub, client) as renewal,
    ):
        agent, key = renewal.agent, renewal.key.api_key
        for step in (*AGENT, *HUB):
            of: AgentProcess | ForkedHub = agent if step in AGENT else hub
            Plan(agent.folder if step in AGENT else hub.settings.data_dir).set(step)
            await killed(of, renewal)
            key = await renewal.until_renewed(key)
            await renewal.until_idle()
        assert "Traceback" not in hub.log + agent.log
        commands = (await client.get(f"{renewal.path}/commands?limit=100")).json()["data"]
        assert {(one["name"], one["state"]) for one in commands} == {("renew_key", "succeeded")}
        assert len(commands) == len(AGENT) + len(HUB)


@pytest.mark.timeout(120)
async def test_a_new_key_that_was_given_up_before_its_first_use_gives_way_to_the_old_one(tmp_path: Path) -> None:
    async with (
        forked_hub(tmp_path / "hub", device_frames_per_second=0) as hub,
        hub.client() as client,
        renewal_of(tmp_path, hub, client) as renewal,
    ):
        agent, key = renewal.agent, renewal.key.api_key
        Plan(agent.folder).set("adopted kept")
        await client.post(f"{renewal.path}/key/renewal")
        assert agent.process is not None
        assert await asyncio.wait_for(agent.process.wait(), PATIENCE_S) == KILLED
        shown = await renewal.asked("/key")
        assert key.startswith(shown["api_key_prefix"])
        assert shown["renewal"]["prefix"] != shown["api_key_prefix"]
        assert (await client.post(f"{renewal.path}/key/renewal")).json()["code"] == "renewal_open"
        assert await renewal.works(key)
        assert (await client.delete(f"{renewal.path}/key/renewal")).status_code == 200
        assert (await client.delete(f"{renewal.path}/key/renewal")).json()["code"] == "no_renewal"
        await agent.start()
        await renewal.until_live()
        await renewal.until_idle()
        assert await renewal.works(key)
        assert (await renewal.asked("/key"))["renewal"] is None
        assert renewal.written() == key
        await renewal.ended(await renewal.renew())  # and another one may follow
        assert await renewal.until_renewed(key) != key
