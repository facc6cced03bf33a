"""The private authority is exchanged under a real hub and a real agent, by one live link and killed at each step:
nobody visits it."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from certs.bundle import read_bundle
from certs.verbs import run
from certs.words import read
from tests.device.agent_process import running_agent
from tests.hub.server.test_tls import added
from tests.support.hub_process import HubProcess, hub_process
from tests.support.until import until_answered


class Exchange:
    def __init__(self, folder: Path, hub: HubProcess, rvm_id: int) -> None:
        self.folder = folder
        self.hub = hub
        self.rvm_id = rvm_id

    async def asked(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The machine, and how its authorities are counted."""
        trust = ssl.create_default_context(cafile=str(self.folder / "authority.crt"))
        headers = {"Authorization": f"Bearer {self.hub.admin.session}"}
        async with httpx.AsyncClient(
            base_url=self.hub.url, headers=headers, verify=trust, trust_env=False, timeout=60
        ) as client:
            found = (await client.get(f"/api/v2/rvms/{self.rvm_id}")).json()["data"]
            use = (await client.get("/api/v2/system")).json()["data"]["authority"]
        return found, use

    async def until_trusted(self) -> None:
        """Exactly what the folder has now, known to the hub."""

        async def it_is() -> bool:
            found, use = await self.asked()
            wanted = list(read_bundle(self.folder / "authority.crt").fingerprints)
            pinned = (found["hardware"] or {}).get("hub_tls", {}).get("authorities")
            assert len(use["missing"]) == use["pinned"] - use["current"]
            return (found["connection"], pinned, use["fingerprints"], use["current"]) == ("live", wanted, wanted, 1)

        await until_answered(it_is, every=0.2)


@pytest.mark.timeout(280)
@pytest.mark.parametrize("killed", [False, True], ids=["live", "killed"])
async def test_the_authority_is_exchanged_without_a_visit(tmp_path: Path, killed: bool) -> None:
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
            await exchange.until_trusted()
            for step in ("authority --next", "authority --switch", "renew hub", "authority --drop-old"):
                certs(*step.split())
                os.kill(hub.pid, signal.SIGHUP)
                if killed:
                    await agent.kill()
                    await hub.kill()
                    await hub.start()
                    await agent.start()
                await exchange.until_trusted()
            assert killed or agent.log.count("connected to the hub") == 1  # by one link, from the first to the last
    (new,) = read_bundle(crt).fingerprints
    assert read_bundle(pinned).fingerprints != (new,)  # nobody touched the machine's file
