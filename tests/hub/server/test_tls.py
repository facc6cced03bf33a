"""The hub's own TLS: renewed files are taken over under live links, wrong ones change nothing and are reported."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from certs import signing
from certs.bundle import fingerprint, read_bundle
from device.kernel.tls import fetch_authority
from hub.server import tls
from hub.server.tls import HubTls
from hub.settings import Settings, SettingsError
from protocol import messages as m
from tests.support.certificates import TestAuthority
from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub, hub_here, hub_process
from tests.support.machine_client import MachineClient
from tests.support.until import until_answered


def _trusting(authority: TestAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.crt))


async def _served(url: str, trust: ssl.SSLContext) -> str:
    """The fingerprint of what a new connection is shown."""
    port = int(url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return fingerprint(shown)


def _settings(authority: TestAuthority, **more: object) -> dict[str, object]:
    pem = authority.hub()
    return {"tls_cert": pem, "tls_key": pem, "tls_authority": authority.crt, **more}


async def added(hub: Hub, trust: ssl.SSLContext, name: str) -> MachineKey:
    headers = {"Authorization": f"Bearer {hub.admin.session}"}
    async with httpx.AsyncClient(
        base_url=hub.url, headers=headers, verify=trust, trust_env=False, timeout=60
    ) as client:
        made = (await client.post("/api/v2/rvms", json={"name": name})).json()["data"]
    return MachineKey(made["id"], made["device_id"], made["api_key"])


async def test_a_renewed_certificate_is_taken_over_and_no_link_drops(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    trust = _trusting(authority)
    async with hub_here(tmp_path, **_settings(authority)) as hub:
        own = hub.context[HubTls]
        key = await added(hub, trust, "rvm-1")
        async with MachineClient.connect(hub.websocket_url, key, ssl=trust) as machine:
            await machine.say_hello()
            before = await _served(hub.url, trust)
            assert own.served is not None
            assert own.served.fingerprint == before
            authority.hub("127.0.0.1", "hub.example")
            assert own.look()
            assert not own.look()
            after = await _served(hub.url, trust)
            assert after == own.served.fingerprint != before
            assert own.served.names == ("hub.example", "127.0.0.1")
            await machine.samples(50.0, seq=1)
            await machine.hear(m.MetricsAck)


async def test_wrong_files_change_nothing_and_are_reported_until_they_are_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = TestAuthority(tmp_path / "own")
    settings = Settings.load({"data_dir": tmp_path, **_settings(authority)}, {})
    own = HubTls(settings, lambda: datetime.now(timezone.utc))
    context, pem = own.context, tmp_path / "own" / "hub.pem"
    good = pem.read_bytes()
    other = TestAuthority(tmp_path / "other").hub().read_bytes()
    half = good[: good.index(b"-----BEGIN CERT")] + other[other.index(b"-----BEGIN CERT") :]
    for wrong in (b"", b"torn", half, good[:-200]):
        pem.write_bytes(wrong)
        with caplog.at_level(logging.WARNING, "myrvm.tls"):
            assert not own.look()
        assert own.context is context
        assert own.refused
        assert codes(own, datetime.now(timezone.utc)) == ["certificate_refused"]
        assert "goes on with those it has" in caplog.text
        caplog.clear()
    pem.unlink()
    assert not own.look()
    assert own.context is context
    pem.write_bytes(good)
    pem.chmod(0o644)
    assert not own.look()
    assert "exposed" in own.refused
    pem.chmod(0o600)
    os.utime(pem)
    assert own.look()
    assert own.refused == ""
    assert codes(own, datetime.now(timezone.utc)) == []
    assert own.context is not context


async def test_a_real_hub_takes_it_over_at_sighup(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    trust = _trusting(authority)
    async with hub_process(tmp_path, **_settings(authority)) as hub:
        before = await _served(hub.url, trust)
        authority.hub()
        os.kill(hub.pid, signal.SIGHUP)

        async def is_another() -> bool:
            return await _served(hub.url, trust) != before

        await until_answered(is_another, within=9.0)  # sooner than it would look by itself


async def test_tls_before_1_2_is_not_spoken(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    old = _trusting(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with hub_here(tmp_path, **_settings(authority)) as hub:
        with pytest.raises((ssl.SSLError, OSError)):
            await _served(hub.url, old)
        assert await _served(hub.url, _trusting(authority))


def test_it_warns_in_time_and_once_for_each_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority, now = TestAuthority(tmp_path / "own"), datetime.now(timezone.utc)
    moment = [now]
    own = HubTls(Settings.load({"data_dir": tmp_path, **_settings(authority)}, {}), lambda: moment[0])
    states = {0: [], 59: [], 61: ["certificate_soon"], 84: ["certificate_very_soon"], 91: ["certificate_expired"]}
    with caplog.at_level(logging.WARNING, "myrvm.tls"):
        for days, state in states.items():
            moment[0] = now + timedelta(days=days)
            assert codes(own, moment[0]) == state
            own._warn()
            own._warn()
    assert caplog.text.count("renew it") == 3


def test_a_hub_without_tls_has_nothing_to_warn_of(tmp_path: Path) -> None:
    own = HubTls(Settings.load({"data_dir": tmp_path}, {}), lambda: datetime.now(timezone.utc))
    assert own.context is None
    assert own.served is None
    assert not own.look()
    assert own.warnings(datetime.now(timezone.utc)) == []
    assert own.next_change(datetime.now(timezone.utc)) is None


def test_each_part_that_ends_is_named_with_since_and_the_command_for_it(tmp_path: Path) -> None:
    """The authority of the test has 2650 days left, its list of revoked certificates 20."""
    authority, now = TestAuthority(tmp_path / "own"), datetime.now(timezone.utc)
    crl = tmp_path / "own" / "revoked.crl"
    short = signing.new_authority("Short", 20, now)
    lists = [signing.revocation_list(one, {}, 1, now) for one in (authority.identity, short)]
    crl.write_bytes(b"".join(lists))
    more = {"tls_client_authority": authority.crt, "tls_client_crl": crl}
    own = HubTls(Settings.load({"data_dir": tmp_path, **_settings(authority, **more)}, {}), lambda: now)
    (listed,) = own.warnings(now)
    ends = short.certificate.not_valid_after_utc
    assert listed == ("crl_soon", "crl", ends - timedelta(days=30), ends, "")
    assert not listed.is_urgent
    assert own.next_change(now) == ends - timedelta(days=7)
    found = {one.part: one for one in own.warnings(now + timedelta(days=2645))}
    assert {part: one.code.removeprefix(f"{part}_") for part, one in found.items()} == {
        "crl": "expired", "certificate": "expired", "authority": "very_soon", "client_authority": "very_soon",
    }  # fmt: skip
    assert all(one.is_urgent for one in found.values())
    assert found["certificate"].renew == "python3 -m certs renew hub"
    assert found["authority"].renew == "python3 -m certs authority --next"
    (tmp_path / "own" / "authority.pem").touch()
    assert own.warnings(now + timedelta(days=80))[1].renew == f"python3 -m certs renew hub --dir {tmp_path}/own"
    pem = authority.hub()
    public = HubTls(Settings.load({"data_dir": tmp_path, "tls_cert": pem, "tls_key": pem}, {}), lambda: now)
    (tmp_path / "own" / "authority.pem").unlink()
    assert [one.renew for one in public.warnings(now + timedelta(days=80))] == [""]


def codes(own: HubTls, now: datetime) -> list[str]:
    return [one.code for one in own.warnings(now)]


@pytest.mark.parametrize(
    ("name", "why"),
    [("hub.pem", "private"), ("loose.crt", "writable"), ("empty.crt", "empty")],
)
def test_what_is_no_file_of_an_authority_is_refused_at_the_start(tmp_path: Path, name: str, why: str) -> None:
    authority = TestAuthority(tmp_path / "own")
    given = _settings(authority)
    (tmp_path / "own" / "empty.crt").touch()
    shutil.copy(authority.crt, tmp_path / "own" / "loose.crt")
    (tmp_path / "own" / "loose.crt").chmod(0o666)
    for flag in ("tls_authority", "tls_client_authority"):
        with pytest.raises(SettingsError, match=why):
            Settings.load({"data_dir": tmp_path, **given, flag: tmp_path / "own" / name}, {})


def test_machines_certificates_need_the_hubs_own_tls(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own")
    with pytest.raises(SettingsError, match="ends TLS"):
        Settings.load({"data_dir": tmp_path, "tls_client_authority": authority.crt}, {})


def test_a_look_is_due_often_enough_for_renewal_tools() -> None:
    assert tls.EVERY_S <= 60


async def test_the_hub_shows_its_certificate_and_hands_out_its_authority(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "own", now=datetime.now(timezone.utc))
    trust = _trusting(authority)
    async with hub_here(tmp_path, **_settings(authority)) as hub:
        pem = authority.hub(days=5)
        assert hub.context[HubTls].look()
        pem.write_bytes(b"torn")
        assert not hub.context[HubTls].look()
        headers = {"Authorization": f"Bearer {hub.admin.session}"}
        async with httpx.AsyncClient(base_url=hub.url, verify=trust, trust_env=False, timeout=60) as client:
            shown = (await client.get("/api/v2/system", headers=headers)).json()["data"]
            given = (await client.get("/api/v2/authority")).json()["data"]
            client.cookies.set("__Host-rvm_session", hub.admin.session)
            page = (await client.get("/admin/system", headers={"Accept-Language": "en"})).text
        assert shown["certificate"]["names"] == ["localhost", "127.0.0.1"]
        assert shown["certificate"]["issuer"] == "Test"
        assert shown["certificate"]["refused"]
        assert shown["warnings"][0] == "certificate_refused"
        until = datetime.fromisoformat(shown["certificate"]["not_after"].replace("Z", "+00:00"))
        assert f"{until.astimezone(ZoneInfo('Asia/Jakarta')):%b %Y}" in page  # a day, not the hour alone
        assert given["fingerprints"] == list(read_bundle(authority.crt).fingerprints)
        fetched = await asyncio.to_thread(fetch_authority, hub.url, given["fingerprints"][0], 5.0)
        assert fetched.encode() == authority.pem
        stranger = TestAuthority(tmp_path / "other")
        for wrong in ("", "0" * 64, read_bundle(stranger.crt).fingerprints[0]):
            with pytest.raises(OSError, match="fingerprint"):
                await asyncio.to_thread(fetch_authority, hub.url, wrong, 5.0)
