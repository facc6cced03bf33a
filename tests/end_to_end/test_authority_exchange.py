"""The private authority is exchanged under a real hub and a real agent, killed at each step: nobody visits it."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
from pathlib import Path

import httpx
import pytest

from certs.bundle import read_bundle
from certs.verbs import run
from certs.words import read
from tests.device.agent_process import AgentProcess, running_agent
from tests.hub.server.test_tls import added
from tests.support.hub_process import HubProcess, hub_process
from tests.support.until import until_answered


class Exchange:
    def __init__(self, folder: Path, hub: HubProcess, rvm_id: int) -> None:
        self.folder = folder
        self.hub = hub
        self.rvm_id = rvm_id
        self.adopted = 0

    async def reported(self) -> list[str]:
        """What the machine trusts, by its newest hello."""
        trust = ssl.create_default_context(cafile=str(self.folder / "authority.crt"))
        headers = {"Authorization": f"Bearer {self.hub.admin.session}"}
        async with httpx.AsyncClient(base_url=self.hub.url, headers=headers, verify=trust, trust_env=False) as client:
            found = (await client.get(f"/api/v2/rvms/{self.rvm_id}")).json()["data"]
            use = (await client.get("/api/v2/system")).json()["data"]["authority"]
        trusted = list((found["hardware"] or {}).get("hub_tls", {}).get("authorities", []))
        is_counted = (use["pinned"], use["current"], use["fingerprints"]) == (1, 1, trusted)
        return trusted if found["connection"] == "live" and is_counted else []

    async def until_trusted(self, agent: AgentProcess) -> None:
        """Exactly what the folder has now: an agent that took it over is killed and started."""

        async def it_is() -> bool:
            if await self.reported() == list(read_bundle(self.folder / "authority.crt").fingerprints):
                return True
            adopted = agent.log.count("new authority")
            if adopted > self.adopted:  # its next hello shows that
                self.adopted = adopted
                await agent.kill()
                await agent.start()
            return False

        await until_answered(it_is, every=0.5)


@pytest.mark.timeout(280)
async def test_the_authority_is_exchanged_without_a_visit(tmp_path: Path) -> None:
    folder = tmp_path / "private"

    def certs(*words: str) -> None:
        assert run(read([words[0], "--dir", str(folder), *words[1:]])) == 0

    certs("authority")
    certs("hub", "127.0.0.1", "localhost")
    pem, crt = folder / "hub.pem", folder / "authority.crt"
    pinned = tmp_path / "pinned.crt"
    shutil.copy(crt, pinned)
    async with hub_process(tmp_path, tls_cert=pem, tls_key=pem, tls_authority=crt) as hub:
        key = await added(hub, ssl.create_default_context(cafile=str(crt)), "rvm-1")
        exchange = Exchange(folder, hub, key.id)
        own = {"api_token": key.api_key, "rvm_id": key.device_id, "hub_ca": str(pinned)}
        async with running_agent(tmp_path, hub.url, **own) as agent:
            await exchange.until_trusted(agent)
            certs("authority", "--next")
            await hub.end()
            await hub.start()
            await exchange.until_trusted(agent)
            certs("authority", "--switch")
            certs("renew", "hub")
            os.kill(hub.pid, signal.SIGHUP)
            await agent.kill()
            await agent.start()
            await exchange.until_trusted(agent)
            certs("authority", "--drop-old")
            await hub.end()
            await hub.start()
            await exchange.until_trusted(agent)
    (new,) = read_bundle(crt).fingerprints
    assert read_bundle(pinned).fingerprints != (new,)  # nobody touched the machine's file
