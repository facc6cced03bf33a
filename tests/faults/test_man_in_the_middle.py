"""Somebody between machine and hub ends TLS himself: every way to the hub fails closed, and the key never leaves."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from certs import signing
from certs.bundle import read_bundle
from device.api_client import ApiClient, HubUnreachableError
from device.backups.control import Gate, HubAddress
from device.backups.transfer import HubTransfer, TransferBrokenError
from device.kernel import tls
from device.kernel.tls import HubTrust
from device.link.connection import LinkClosedError, open_link
from device.link.rules import Kind
from tests.device.agent_process import running_agent
from tests.device.link.test_connection import hello
from tests.support.certificates import TestAuthority, server_context
from tests.support.fake_hub import KEY, FakeHub
from tests.support.man_in_the_middle import man_in_the_middle


def _self_signed(own: TestAuthority, other: TestAuthority) -> ssl.SSLContext:
    pem = other.folder / "self.pem"
    pem.write_bytes(signing.pem_of(other.identity))
    return server_context(pem)


def _old_tls(own: TestAuthority, other: TestAuthority) -> ssl.SSLContext:
    context = server_context(own.hub())
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


MIDDLES: dict[str, tuple[str, Callable[[TestAuthority, TestAuthority], ssl.SSLContext | None]]] = {
    "self-signed": ("authority", _self_signed),
    "another authority": ("authority", lambda own, other: server_context(other.hub())),
    "another name": ("name", lambda own, other: server_context(own.hub("hub.example", "10.0.0.1"))),
    "expired": ("expired", lambda own, other: server_context(own.hub(days=30, ago=60))),
    "not yet valid": ("early", lambda own, other: server_context(own.hub(days=30, ago=-10))),
    "a machine's certificate": ("authority", lambda own, other: server_context(own.client("rvm-1"))),
    "an old TLS": ("old", _old_tls),
    "plain HTTP": ("none", lambda own, other: None),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
@pytest.mark.parametrize("middle", MIDDLES)
async def test_a_man_in_the_middle_gets_no_connection_and_no_key(tmp_path: Path, middle: str) -> None:
    own, other = TestAuthority(tmp_path / "own"), TestAuthority(tmp_path / "other")
    fault, made = MIDDLES[middle]
    trust = HubTrust(authorities=str(own.crt))
    with man_in_the_middle(made(own, other)) as man:
        with pytest.raises(LinkClosedError) as closed:
            await open_link(f"wss://127.0.0.1:{man.port}/ws/device", KEY, 5.0, hello, tls_context=trust.context)
        assert closed.value.end.kind is Kind.UNREACHABLE  # so no fallback to HTTP begins either
        refused = await _refused(man.port, trust)
        url = f"https://127.0.0.1:{man.port}"
        client = ApiClient(url, KEY, 1, attempts=1, tls_context=trust.context)
        with pytest.raises(HubUnreachableError):
            await asyncio.to_thread(client.get_status)
        address = HubAddress(base_url=url, api_token=KEY, device_id="rvm-1", timeout=5.0, trust=trust)
        with pytest.raises(TransferBrokenError):
            await asyncio.to_thread(HubTransfer(address, Gate(0.0)).call, "POST", "/backups/7/upload", {})
    assert tls.fault(refused) == fault
    assert man.attempts == 4
    assert man.read == b""
    assert KEY.encode() not in man.raw


async def _refused(port: int, trust: HubTrust) -> OSError:
    try:
        await asyncio.open_connection("127.0.0.1", port, ssl=trust.context())
    except OSError as refused:
        return refused
    raise AssertionError("a connection")


async def test_the_right_hub_is_reached_by_each_of_the_three_ways(tmp_path: Path) -> None:
    """So that the test above fails when a way connects to nobody."""
    own = TestAuthority(tmp_path)
    trust = HubTrust(authorities=str(own.crt))
    with man_in_the_middle(server_context(own.hub())) as hub:
        url = f"https://127.0.0.1:{hub.port}"
        client = ApiClient(url, KEY, 1, attempts=1, timeout=0.5, tls_context=trust.context)
        with pytest.raises(HubUnreachableError):
            await asyncio.to_thread(client.get_status)
        client.close()
        with pytest.raises(LinkClosedError):
            await open_link(f"wss://127.0.0.1:{hub.port}/ws/device", KEY, 0.5, hello, tls_context=trust.context)
    assert hub.read.count(f"Bearer {KEY}".encode()) == 2


async def test_an_agent_waits_outside_of_a_false_hub_and_comes_to_the_true_one(tmp_path: Path) -> None:
    own, other, hub = TestAuthority(tmp_path / "own"), TestAuthority(tmp_path / "other"), FakeHub()
    with man_in_the_middle(server_context(other.hub())) as man:
        async with running_agent(tmp_path, f"https://127.0.0.1:{man.port}", hub_ca=str(own.crt)) as agent:
            while man.attempts < 2:  # noqa: ASYNC110 - a thread counts
                await asyncio.sleep(0.02)
            hub.port = man.port
            man.stop()
            hub.tls = server_context(own.hub())
            await hub.start()
            try:
                link = await hub.connected(seconds=30)
                assert link.hello is not None
                facts, pinned = (link.hello.hardware or {})["hub_tls"], read_bundle(own.crt)
                assert facts == {
                    "mode": "pinned", "client_certificate": False, "authorities": list(pinned.fingerprints),
                    "authority_until": f"{pinned.ends_at:%Y-%m-%dT%H:%M:%SZ}",
                }  # fmt: skip
            finally:
                await hub.stop()
            assert KEY not in agent.log
    assert man.read == b""
    assert len(man.faults) == man.attempts >= 2


async def test_two_authorities_in_the_file_take_either_hub(tmp_path: Path) -> None:
    old, new = TestAuthority(tmp_path / "old"), TestAuthority(tmp_path / "new")
    both = tmp_path / "both.crt"
    both.write_bytes(old.pem + b"between them\n" + new.pem)
    both.chmod(0o644)
    for authority in (old, new):
        hub = FakeHub()
        hub.tls = server_context(authority.hub())
        await hub.start()
        try:
            trust = HubTrust(authorities=str(both))
            url = f"wss://127.0.0.1:{hub.port}/ws/device"
            link, _ = await open_link(url, KEY, 5.0, hello, tls_context=trust.context)
            await link.close()
        finally:
            await hub.stop()


def test_verification_is_switched_off_in_one_place_that_compares_a_fingerprint() -> None:
    """`fetch_authority`: before it knows the authority, it asks for it and sends nothing."""
    root = Path(sys.modules["device"].__path__[0]).parent
    found = {
        str(path.relative_to(root)): text.count("CERT_NONE") + text.count("check_hostname")
        for room in ("device", "hub", "certs", "archive", "protocol", "demo")
        for path in (root / room).rglob("*.py")
        if "CERT_NONE" in (text := path.read_text()) or "verify=False" in text or "check_hostname" in text
        or "_create_unverified_context" in text
    }  # fmt: skip
    assert found == {"device/kernel/tls.py": 2}
