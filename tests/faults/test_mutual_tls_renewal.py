"""Mutual TLS while what it stands on is renewed: the machine's key, its certificate, the hub's certificate, the
authority of all of them; agent and hub are killed (-9) at each step, and the machine connects afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from certs.bundle import read_bundle
from certs.signing import read_certificates
from certs.verbs import run
from certs.words import read
from tests.end_to_end.test_key_renewal import Renewal
from tests.faults.test_key_renewal_killed import AGENT, HUB, ForkedAgent, killed
from tests.support.crash_points import Plan
from tests.support.forked_hub import ForkedHub
from tests.support.hub_process import _prepared, running
from tests.support.until import until_answered


class CertifyingHub(ForkedHub):
    """Asks machines for a certificate of the authority in `folder`."""

    folder = Path()

    def client(self, secret: str | None = None) -> httpx.AsyncClient:
        """People come without a certificate, a machine's key with the machine's."""
        trust = ssl.create_default_context(cafile=str(self.folder / "authority.crt"))
        if secret is not None:
            trust.load_cert_chain(self.folder / "machine.pem")
        headers = {"Authorization": f"Bearer {secret or self.admin.session}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, verify=trust, timeout=30, trust_env=False)


class Renewals:
    """`folder`: of the authority; `machine.pem` there is the file that the machine has."""

    def __init__(self, folder: Path, hub: CertifyingHub, renewal: Renewal) -> None:
        self.folder = folder
        self.hub = hub
        self.renewal = renewal
        self.machine = renewal.key.device_id
        self.own = folder / "machine.pem"

    def certs(self, *words: str) -> None:
        certs(self.folder, *words)
        self.look()

    def look(self) -> None:
        """The hub need not wait for its next look."""
        os.kill(self.hub.pid, signal.SIGHUP)

    def bring(self) -> None:
        """The machine's renewed certificate to the machine, in one moment."""
        shutil.copy(self.folder / "clients" / f"{self.machine}.pem", self.folder / "machine.new")
        (self.folder / "machine.new").chmod(0o600)
        (self.folder / "machine.new").replace(self.own)

    async def connects(self) -> None:
        """Also after a kill of the agent, of the hub, and of both at once; then each has what counts now."""
        agent = self.renewal.agent
        for each in ((agent,), (self.hub,), (self.hub, agent)):
            for one in each:
                await one.kill()
            for one in each:
                await one.start()
            await until_answered(self._is_settled, every=0.1)

    async def _is_settled(self) -> bool:
        """Live, on the authorities of the folder."""
        async with self.hub.client() as client:
            found = (await client.get(self.renewal.path)).json()["data"]
        tls = (found["hardware"] or {}).get("hub_tls", {})
        wanted = list(read_bundle(self.folder / "authority.crt").fingerprints)
        return (found["connection"], tls.get("authorities"), tls.get("client_certificate")) == ("live", wanted, True)


def certs(folder: Path, *words: str) -> None:
    assert run(read([words[0], "--dir", str(folder), *words[1:]])) == 0


@contextlib.asynccontextmanager
async def renewals(tmp_path: Path) -> AsyncIterator[Renewals]:
    folder = tmp_path / "private"
    certs(folder, "authority")
    certs(folder, "hub", "127.0.0.1", "localhost")
    pem, crt = folder / "hub.pem", folder / "authority.crt"
    shutil.copy(crt, tmp_path / "pinned.crt")
    given = {"tls_cert": pem, "tls_key": pem, "tls_authority": crt, "tls_client_authority": crt}
    hub = CertifyingHub(*await _prepared(tmp_path / "hub", {**given, "device_frames_per_second": 0}))
    hub.folder = folder
    async with running(hub), hub.client() as client:
        key = await hub.add_machine("rvm-1")
        certs(folder, "client", key.device_id)
        shutil.copy(folder / "clients" / f"{key.device_id}.pem", folder / "machine.pem")
        (tmp_path / "agent").mkdir()
        own = {"hub_ca": str(tmp_path / "pinned.crt"), "client_cert": str(folder / "machine.pem")}
        agent = ForkedAgent(
            tmp_path / "agent", hub.url, api_token=key.api_key, rvm_id=key.device_id,
            client_key=str(folder / "machine.pem"), **own,
        )  # fmt: skip
        await agent.start()
        try:
            made = Renewals(folder, hub, Renewal(hub, client, key, agent))
            await made.renewal.until_live()
            yield made
        finally:
            await agent.kill()


@pytest.mark.timeout(600)
async def test_a_key_is_renewed_with_a_certificate_wherever_one_side_is_killed(tmp_path: Path) -> None:
    async with renewals(tmp_path) as made:
        agent, key = made.renewal.agent, made.renewal.key.api_key
        for step in (*AGENT, *HUB):
            of = agent if step in AGENT else made.hub
            Plan(agent.folder if step in AGENT else made.hub.settings.data_dir).set(step)
            await killed(of, made.renewal)
            key = await made.renewal.until_renewed(key)
            await made.renewal.until_idle()
        assert "Traceback" not in made.hub.log + agent.log


@pytest.mark.timeout(600)
async def test_each_certificate_is_renewed_and_the_machine_connects_after_a_kill_at_each_step(tmp_path: Path) -> None:
    async with renewals(tmp_path) as made:
        first = read_bundle(tmp_path / "pinned.crt").fingerprints
        old = made.own.read_bytes()
        key = made.renewal.key.api_key
        steps: list[Callable[[], object]] = [
            lambda: made.certs("renew", made.machine),
            made.bring,
            lambda: made.certs("renew", "hub"),
            lambda: made.certs("authority", "--next"),
            lambda: made.certs("authority", "--switch"),
            lambda: made.certs("renew", "hub"),
            lambda: made.certs("renew", made.machine),
            made.bring,
            lambda: made.certs("authority", "--drop-old"),
        ]
        await made.connects()
        for step in steps:
            step()
            await made.connects()
        async with made.hub.client() as made.renewal.client:  # on nothing but what is new
            await made.renewal.ended(await made.renewal.renew())
            await made.renewal.until_renewed(key)
            assert "Traceback" not in made.hub.log + made.renewal.agent.log
            assert read_bundle(made.folder / "authority.crt").fingerprints != first
            serials = [read_certificates(pem)[0].serial_number for pem in (old, made.own.read_bytes())]
            assert serials[0] != serials[1]
            made.own.write_bytes(old)  # of the authority that is gone
            await made.renewal.agent.kill()
            await made.renewal.agent.start()
            await until_answered(lambda: _is_refused(made), every=0.1)


async def _is_refused(made: Renewals) -> bool:
    this_life = made.renewal.agent.log.rpartition(" for machine ")[2]
    return (await made.renewal.asked())["connection"] != "live" and "not connected" in this_life
