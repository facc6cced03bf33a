"""Behind nginx, Caddy and HAProxy as docs/proxies/ has them, on a site of the hub's own and below a path of one:
links, browsers, a real machine's terminal, the client's address, large uploads."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from protocol import messages as m
from tests.support.browser_client import cookie
from tests.support.certificates import TestAuthority
from tests.support.forked_hub import forked_hub
from tests.support.free_ports import free_port
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess
from tests.support.machine_client import MachineClient
from tests.support.proxies import BASE_PATH, PROXIES, program, proxy
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator, TerminalClient

CLIENT = "127.0.0.2"
"""Not the proxy's own address, as on a network."""
CLAIMED = "9.9.9.9"
LARGE = 24 * 1024 * 1024
BEHIND = [(name, base_path) for base_path in ("", BASE_PATH) for name in PROXIES]


@dataclass
class Site:
    """`url`: as browsers and machines have the hub, through the proxy."""

    hub: HubProcess
    url: str
    authority: TestAuthority
    trust: ssl.SSLContext

    @property
    def websocket_url(self) -> str:
        return self.url.replace("https", "wss", 1)

    @contextlib.asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[ClientConnection]:
        """The administrator's browser's."""
        origin = websockets.Origin(self.url.removesuffix(self.hub.settings.base_path))
        async with websockets.connect(
            self.websocket_url + path, additional_headers=cookie(self.hub, self.hub.admin), origin=origin,
            ssl=self.trust, compression=None, proxy=None,
        ) as made:  # fmt: skip
            yield made


@contextlib.asynccontextmanager
async def site(folder: Path, name: str, base_path: str) -> AsyncIterator[Site]:
    program(name)
    port, authority = free_port(), TestAuthority(folder / "own")
    url, trust = f"https://localhost:{port}", ssl.create_default_context(cafile=str(authority.crt))
    async with (
        forked_hub(folder, behind_proxy="127.0.0.1", public_url=url, base_path=base_path) as hub,
        proxy(folder / name, name, hub, authority, port),
    ):
        yield Site(hub, url + base_path, authority, trust)


@pytest.mark.parametrize(("name", "base_path"), BEHIND)
async def test_the_example_passes_all_that_the_hub_needs(tmp_path: Path, name: str, base_path: str) -> None:
    async with site(tmp_path, name, base_path) as made:
        headers = {"Authorization": f"Bearer {made.hub.admin.session}", "X-Forwarded-For": CLAIMED}
        over = httpx.AsyncHTTPTransport(verify=made.trust, local_address=CLIENT)
        async with httpx.AsyncClient(base_url=made.url, transport=over, headers=headers, timeout=60) as client:
            key = await made.hub.add_machine("rvm-1")
            await _link(made, key, client)
            await _upload(client, key.id, key.api_key)
            page = await client.get("/login", headers={"Authorization": ""})
            assert page.status_code == 200
            assert "max-age" in page.headers["strict-transport-security"]
        async with made.socket("/ws/dashboard") as feed:
            assert "hello" in str(await feed.recv())


@pytest.mark.parametrize("name", PROXIES)
async def test_a_real_machine_and_its_terminal_pass_below_a_path(tmp_path: Path, name: str) -> None:
    """The agent takes the address whole: link, tunnel and REST stand below its path."""
    async with site(tmp_path, name, BASE_PATH) as made:
        key, operator = await made.hub.add_machine("rvm-1"), RemoteOperator(made.hub, made.hub.admin)
        pinned = str(made.authority.crt)
        async with remote_machine(tmp_path / "machine", made.url, key, hub_ca=pinned):
            await operator.present(key)
            session = await operator.lease(key)
            async with made.socket("/ws/terminal") as socket:
                terminal = TerminalClient(socket)
                await socket.send(json.dumps({"type": "open", "session": session["id"], "cols": 80, "rows": 24}))
                await terminal.until(lambda: any(text["type"] == "ready" for text in terminal.heard))
                await terminal.type("echo $((6 * 7)) is there\r")
                await terminal.shows("42 is there")


async def test_beside_the_path_a_site_has_pages_of_its_own(tmp_path: Path) -> None:
    async with site(tmp_path, "nginx", BASE_PATH) as made, httpx.AsyncClient(verify=made.trust, timeout=60) as client:
        outside = await client.get(made.url.removesuffix(BASE_PATH) + "/login")
        assert outside.status_code >= 400
        assert "nginx" in outside.text
        bare = await client.get(made.url)
        assert bare.headers["location"].endswith(f"{BASE_PATH}/")


async def _link(made: Site, key: MachineKey, client: httpx.AsyncClient) -> None:
    async with MachineClient.connect(made.websocket_url, key, ssl=made.trust, local_addr=(CLIENT, 0)) as machine:
        await machine.say_hello()
        await machine.samples(50.0, seq=1)
        await machine.hear(m.MetricsAck)
        shown = (await client.get(f"/api/v2/rvms/{key.id}")).json()["data"]
        assert shown["connection"] == "live"
        assert shown["last_ip"] == CLIENT  # neither the proxy's nor what was claimed


async def _upload(client: httpx.AsyncClient, rvm_id: int, key: str) -> None:
    """The hub itself takes all of it and answers: no proxy says 413."""
    body = {"file": ("backup.tar.gz", os.urandom(LARGE))}
    headers = {"Authorization": f"Bearer {key}"}
    answer = await client.post(
        f"/api/v2/rvms/{rvm_id}/backup/upload", files=body, data={"backup_type": "full"}, headers=headers
    )
    assert answer.headers["content-type"].startswith(("application/json", "application/problem+json")), answer.text
    assert answer.status_code in (201, 422), answer.text
