"""Half a TLS handshake is a connection without a request like any other: it takes a place, and its time ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import httpx
import pytest

from hub.server.http_protocol import HEADER_TIMEOUT_S, TLS
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, HubProcess, hub_here, hub_process
from tests.support.machine_client import MachineClient
from tests.support.own_certificate import needs_openssl, own_certificate
from tests.support.until import until

STRANGERS = 3000
NETWORKS = 30
"""Each with an address of its own, so that it is not one network's share that bounds them."""
GROWN_BYTES = 64 * 2**20
"""What all half handshakes together may keep (3,000 kept 160 MiB, and for a minute)."""
CLOSED_WITHIN_S = 10.0
PASSWORD = "a phrase of several words"

pytestmark = needs_openssl


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="hub.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


class Stranger:
    """Connected, has sent its first bytes, and then says nothing more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.connected_at = time.monotonic()

    @classmethod
    async def come(cls, port: int, number: int, said: bytes) -> Stranger:
        own = (f"127.0.1.{number % NETWORKS + 1}", 0)
        stranger = cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=own))
        stranger._writer.write(said)
        return stranger

    async def closed_after(self) -> float:
        """Seconds from its coming."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            """Aborted."""
        self._writer.transport.abort()
        return time.monotonic() - self.connected_at


async def live_and_acknowledged(hub: HubProcess, key: MachineKey, trusted: ssl.SSLContext) -> None:
    async with MachineClient.connect(hub.websocket_url, key, ssl=trusted) as machine:
        await machine.say_hello()
        for seq in range(3):
            await machine.samples(50.0, seq=seq)
            await machine.hear(m.MetricsAck)


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_three_thousand_half_handshakes_cost_little_and_keep_nobody_out(tmp_path: Path) -> None:
    made = await own_certificate(tmp_path)
    trusted, said = made.trusted(), (b"\x16\x03\x01", client_hello())
    async with hub_process(tmp_path, tls_cert=made.cert, tls_key=made.key) as hub:
        bearer = {"Authorization": f"Bearer {hub.admin.session}"}
        async with httpx.AsyncClient(verify=trusted, trust_env=False, base_url=hub.url, timeout=30) as client:
            answer = await client.post("/api/v2/rvms", json={"name": "Lobby"}, headers=bearer)
            key = MachineKey(*(answer.json()["data"][name] for name in ("id", "device_id", "api_key")))
            assert (await client.patch("/api/v2/auth/me", json={"password": PASSWORD}, headers=bearer)).is_success
            before = hub.memory_bytes()
            strangers = [await Stranger.come(hub.port, number, said[number % 2]) for number in range(STRANGERS)]
            ends = asyncio.gather(*(stranger.closed_after() for stranger in strangers))
            grown = hub.memory_bytes() - before
            signed_in = await client.post(
                "/api/v2/auth/login", json={"email": hub.admin.email, "password": PASSWORD},
                headers={"Connection": "close"},
            )  # fmt: skip
            await live_and_acknowledged(hub, key, trusted)
            after = await ends
        print(f"{grown / 2**20:.1f} MiB for {STRANGERS} strangers; closed after {max(after):.1f} s at most")
        assert signed_in.status_code == 200
        assert grown <= GROWN_BYTES
        assert max(after) <= CLOSED_WITHIN_S
        assert "Traceback" not in hub.log


async def _halves(hub: HubHere, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    halves = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(count)]
    for _, writer in halves:
        writer.write(b"\x16\x03\x01")
    return halves


async def test_the_oldest_half_handshake_of_a_network_makes_room(tmp_path: Path) -> None:
    made = await own_certificate(tmp_path)
    async with hub_here(tmp_path, tls_cert=made.cert, tls_key=made.key) as hub:
        assert hub.server is not None
        pending = hub.server.server_state.pending
        halves = await _halves(hub, TLS.of_network + 20)
        await until(lambda: len(pending) == TLS.of_network)
        for reader, _ in halves[:20]:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 60)
        for _, writer in halves:
            writer.transport.abort()
        await until(lambda: not len(pending))


async def test_a_request_is_due_in_the_time_that_began_with_accept(tmp_path: Path) -> None:
    made = await own_certificate(tmp_path)
    async with hub_here(tmp_path, tls_cert=made.cert, tls_key=made.key) as hub:
        assert hub.server is not None
        pending = hub.server.server_state.pending
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        await until(lambda: len(pending))
        (connection,) = pending._all
        connection.accepted_at -= HEADER_TIMEOUT_S - 2  # as if its handshake had taken nearly all of it
        transport = await asyncio.get_running_loop().start_tls(
            writer.transport, writer.transport.get_protocol(), made.trusted(), server_hostname="127.0.0.1"
        )
        assert (await asyncio.wait_for(reader.read(), HEADER_TIMEOUT_S - 1)).startswith(b"HTTP/1.1 408")
        assert transport is not None
        transport.abort()


async def test_what_speaks_no_tls_is_closed_and_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = await own_certificate(tmp_path)
    async with hub_here(tmp_path, tls_cert=made.cert, tls_key=made.key) as hub:
        assert hub.server is not None
        pending = hub.server.server_state.pending
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(reader.read(), 60)
        await until(lambda: not len(pending))
        writer.close()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_a_hub_without_a_file_left_accepts_again_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_here(tmp_path) as hub:
        loop = asyncio.get_running_loop()
        really, full = loop.sock_accept, iter([OSError(24, "Too many open files")])

        async def accept(listener: socket.socket) -> tuple[socket.socket, object]:
            for error in full:
                raise error
            return await really(listener)

        monkeypatch.setattr(loop, "sock_accept", accept, raising=False)
        async with hub.client() as client:
            assert (await client.get("/api/health", headers={"Connection": "close"})).status_code == 200
            assert (await client.get("/api/health")).status_code == 200
