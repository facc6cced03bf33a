"""A hub behind a proxy, over real sockets: whose address counts, and what is said when the proxy hides how one came."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from tests.support.hub_process import HubHere, hub_here

NEEDS_IPV6 = pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
FAR = "203.0.113.9"


def both_families() -> bool:
    with socket.socket(socket.AF_INET6) as tried:
        try:
            tried.bind(("::", 0))
        except OSError:
            return False
        return not tried.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


async def failed_from(hub: HubHere) -> str:
    """The address on record for a wrong password that came by 127.0.0.1."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.port}", trust_env=False, timeout=60) as client:
        wrong = {"email": hub.admin.email, "password": "wrong"}
        answer = await client.post("/api/v2/auth/login", json=wrong, headers={"X-Forwarded-For": FAR})
        assert answer.status_code == 401
        bearer = {"Authorization": f"Bearer {hub.admin.token}"}
        found = (await client.get("/api/v2/events?code=sign_in.failed", headers=bearer)).json()["data"]
    return str(found[0]["params"]["ip"])


@NEEDS_IPV6
@pytest.mark.skipif(not both_families(), reason="no socket for both families here")
async def test_a_proxy_is_one_on_a_socket_for_both_families(tmp_path: Path) -> None:
    async with hub_here(tmp_path, host="::", behind_proxy="127.0.0.1") as hub:
        assert await failed_from(hub) == FAR
        assert hub.server is not None
        assert hub.server._network(("::ffff:127.0.0.1", 1, 0, 0)) == "", "its connections are not one network's"


async def test_who_is_no_proxy_says_nothing_about_addresses(tmp_path: Path) -> None:
    async with hub_here(tmp_path, behind_proxy="192.0.2.1") as hub:
        assert await failed_from(hub) == "127.0.0.1"


async def test_a_proxy_that_drops_the_port_is_named_with_the_setting(tmp_path: Path) -> None:
    async with hub_here(tmp_path, behind_proxy="127.0.0.1") as hub, hub.client() as client:
        said = {"Host": "hub.example", "Origin": "https://hub.example:8443", "Accept-Language": "en"}
        refused = await client.post("/login", data={"email": "a@b.c", "password": "x"}, headers=said)
        assert refused.status_code == 403
        assert "--public-url https://hub.example:8443" in refused.text
        foreign = await client.post("/login", data={}, headers=said | {"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert "--public-url" not in foreign.text


async def test_a_foreign_name_shows_no_page_to_sign_in_on(tmp_path: Path) -> None:
    async with hub_here(tmp_path, public_url="http://hub.example") as hub, hub.client("none") as client:
        for host, status in (("evil.example", 403), ("hub.example", 200), (f"127.0.0.1:{hub.port}", 200)):
            answer = await client.get("/login", headers={"Host": host, "Accept-Language": "en"})
            assert answer.status_code == status, host
            assert ('name="password"' in answer.text) is (status == 200)
        named = await client.get("/login", headers={"Host": "evil.example", "Accept-Language": "id"})
        assert "Alamatnya http://hub.example" in named.text
        assert (await client.get("/api/health", headers={"Host": "evil.example"})).status_code == 200
