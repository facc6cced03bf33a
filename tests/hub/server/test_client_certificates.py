"""Mutual TLS: the certificate's machine has to be the key's, by link, tunnel and REST; people come without one."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from certs import signing
from dashboard.trouble import trouble
from hub.model.views import epoch_ms, machine_view, rfc3339
from protocol import messages as m
from protocol.errors import CloseCode
from tests.device.agent_process import running_agent
from tests.hub.server.test_tls import added
from tests.support.certificates import TestAuthority
from tests.support.hub_people import MachineKey, wrong_end
from tests.support.hub_process import Hub, HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import until


def _settings(authority: TestAuthority, *revoked: Path, **more: Any) -> dict[str, Any]:
    serials = {signing.read_certificates(each.read_bytes())[0].serial_number: authority.now for each in revoked}
    crl = authority.folder / "revoked.crl"
    crl.write_bytes(signing.revocation_list(authority.identity, serials, 1, authority.now))
    pem = authority.hub()
    return {
        "tls_cert": pem, "tls_key": pem, "tls_client_authority": authority.crt, "tls_client_crl": crl, **more,
    }  # fmt: skip


def _trusting(authority: TestAuthority, pem: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.crt))
    if pem is not None:
        context.load_cert_chain(pem)
    return context


async def _link(hub: Hub, key: MachineKey, context: ssl.SSLContext) -> int:
    """The status of the upgrade; 101 after an acknowledged sample."""
    try:
        async with MachineClient.connect(hub.websocket_url, key, ssl=context) as machine:
            await machine.say_hello()
            await machine.samples(50.0, seq=1)
            await machine.hear(m.MetricsAck)
    except websockets.InvalidStatus as refused:
        return refused.response.status_code
    return 101


async def _rest(hub: Hub, key: MachineKey, context: ssl.SSLContext) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key.api_key}"}
    async with httpx.AsyncClient(
        base_url=hub.url, headers=headers, verify=context, trust_env=False, timeout=60
    ) as client:
        return await client.get(f"/api/v2/rvms/{key.id}/status")


async def _refusals(hub: HubHere, context: ssl.SSLContext, key: MachineKey) -> list[str]:
    query = {"rvm": str(key.id), "code": "machine.certificate_refused"}
    headers = {"Authorization": f"Bearer {hub.admin.session}"}
    async with httpx.AsyncClient(
        base_url=hub.url, headers=headers, verify=context, trust_env=False, timeout=60
    ) as client:
        listed = (await client.get("/api/v2/events", params=query)).json()["data"]
    rows = listed["events"] if isinstance(listed, dict) else listed
    return [row["params"]["fault"] for row in rows]


async def test_the_certificates_machine_must_be_the_keys(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    people = _trusting(authority)
    async with hub_here(tmp_path, **_settings(authority)) as hub:
        key, other = await added(hub, people, "rvm-1"), await added(hub, people, "rvm-2")
        own = _trusting(authority, authority.client(key.device_id))
        assert await _link(hub, key, own) == 101
        assert (await _rest(hub, key, own)).status_code == 200
        assert await _refusals(hub, people, key) == []
        assert await _link(hub, key, people) == 403
        refused = await _rest(hub, key, people)
        assert (refused.status_code, refused.json()["code"]) == (403, "certificate_missing")
        assert await _refusals(hub, people, key) == ["certificate_missing"]  # once a minute
        assert await _link(hub, other, own) == 403
        assert (await _rest(hub, other, own)).json()["code"] == "certificate_other"
        assert await _refusals(hub, people, other) == ["certificate_other"]
        wrong = MachineKey(key.id, key.device_id, wrong_end(key.api_key))
        assert (await _rest(hub, wrong, people)).status_code == 401
        await _first_frame(hub, key, people)
        for path in ("/ws/tunnel", "/ws/device"):
            with pytest.raises(websockets.InvalidStatus, match="403"):
                await websockets.connect(
                    hub.websocket_url + path, ssl=people, proxy=None,
                    additional_headers={"Authorization": f"Bearer {key.api_key}"},
                )  # fmt: skip


async def _first_frame(hub: Hub, key: MachineKey, context: ssl.SSLContext) -> None:
    """A client that cannot set headers is no way around it."""
    async with websockets.connect(hub.websocket_url + "/ws/device", ssl=context, proxy=None) as socket:
        await socket.send(f'{{"type":"auth","token":"{key.api_key}"}}')
        assert "certificate_missing" in str(await socket.recv())
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
    assert socket.close_code == CloseCode.NOT_AUTHENTICATED


async def test_what_the_authority_does_not_vouch_for_ends_in_the_handshake(tmp_path: Path) -> None:
    authority, stranger = TestAuthority(tmp_path / "own"), TestAuthority(tmp_path / "other")
    people = _trusting(authority)
    revoked = authority.client("revoked")
    async with hub_here(tmp_path, **_settings(authority, revoked)) as hub:
        key = await added(hub, people, "rvm-1")
        expired = authority.client(key.device_id, days=10, ago=20)
        for pem in (revoked, expired, stranger.client(key.device_id)):
            with pytest.raises((OSError, httpx.TransportError)):
                await _rest(hub, key, _trusting(authority, pem))
        assert (await _rest(hub, key, people)).status_code == 403


async def test_while_machines_get_theirs_those_without_come_in_and_anothers_does_not(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    people = _trusting(authority)
    async with hub_here(tmp_path, **_settings(authority, tls_client_required=False)) as hub:
        key = await added(hub, people, "rvm-1")
        assert (await _rest(hub, key, people)).status_code == 200
        assert (await _rest(hub, key, _trusting(authority, authority.client("rvm-9")))).status_code == 403


async def test_a_real_agent_without_its_certificate_logs_what_is_missing(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    async with hub_here(tmp_path, **_settings(authority)) as hub:
        key = await added(hub, _trusting(authority), "rvm-1")
        own = {"hub_ca": str(authority.crt), "api_token": key.api_key, "rvm_id": key.device_id}
        async with running_agent(tmp_path, hub.url, **own) as agent:
            await until(lambda: "HTTP 403 certificate_missing" in agent.log)
            assert "name it in client_cert and client_key" in agent.log


async def test_a_real_agent_shows_its_certificate_and_reports_how_it_comes(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    people = _trusting(authority)
    async with hub_here(tmp_path, **_settings(authority)) as hub:
        key = await added(hub, people, "rvm-1")
        pem = authority.client(key.device_id, days=6)
        files = {"hub_ca": str(authority.crt), "client_cert": str(pem), "client_key": str(pem)}
        machine = hub.context.fleet.machines[key.id]
        async with running_agent(tmp_path, hub.url, api_token=key.api_key, rvm_id=key.device_id, **files):
            await until(lambda: machine.connection == "live" and machine.row.hardware)
        assert machine.row.hardware is not None
        assert machine.row.hardware["hub_tls"]["mode"] == "pinned"
        assert machine.row.hardware["hub_tls"]["client_certificate"] is True
        ends = signing.read_certificates(pem.read_bytes())[0].not_valid_after_utc
        assert machine.certificate_ends_at == ends
        assert machine.authority_ends_at == authority.identity.certificate.not_valid_after_utc
        headers = {"Authorization": f"Bearer {hub.admin.session}"}
        async with httpx.AsyncClient(
            base_url=hub.url, headers=headers, verify=people, trust_env=False, timeout=60
        ) as admin:
            (shown,) = (await admin.get("/api/v2/rvms")).json()["data"]
        assert shown["certificate"]["ends_at"] == rfc3339(ends)
        found = trouble(machine_view(machine, times="ms"), epoch_ms(hub.context.clock()))
        assert found is not None
        assert (found.cause, found.who) == ("certificate_very_soon", "admin")
