"""Parts of a backup over real connections: whole, refused, cut, and at the gate's rate."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from device.backups.control import Gate, HubAddress, Yielding
from device.backups.download import opened_length
from device.backups.rules import CHUNK
from device.backups.transfer import HubTransfer, Piece, TransferBrokenError
from tests.support.fake_backups import FakeBackups, fake_backups
from tests.support.fake_hub import KEY

DATA = random.Random(1).randbytes(3 * CHUNK + 7)
WHOLE = Piece(memoryview(DATA), 0, len(DATA))
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def hub() -> Iterator[FakeBackups]:
    with fake_backups() as made:
        yield made


def transfer(hub: FakeBackups, gate: Gate | None = None, path: str = "") -> HubTransfer:
    address = HubAddress(base_url=hub.url + path, api_token=KEY, device_id="rvm 1/x", timeout=5.0)
    return HubTransfer(address, gate or Gate(0.0))


def test_a_part_arrives_whole_in_small_chunks_on_one_connection(hub: FakeBackups) -> None:
    sent: list[int] = []
    client = transfer(hub, path="/rvm")
    for number in (1, 2):
        answer = client.put(f"/backups/7/parts/{number}", WHOLE, SUM, sent.append)
        assert (answer.status, answer.is_success) == (200, True)
    assert hub.backup(7).parts == {1: DATA, 2: DATA}
    assert sent[:4] == [CHUNK, 2 * CHUNK, 3 * CHUNK, len(DATA)]
    assert hub.paths[0] == "/rvm/api/v2/rvms/rvm%201%2Fx/backups/7/parts/1"
    assert hub.keys == {f"Bearer {KEY}"}
    client.close()


def test_pieces_of_a_part_arrive_as_one(hub: FakeBackups) -> None:
    client, hub.piece_size = transfer(hub), CHUNK
    for first in range(0, len(DATA), CHUNK):
        piece = Piece(memoryview(DATA)[first : first + CHUNK], first, len(DATA))
        answer = client.put("/backups/7/parts/1", piece, SUM, lambda _: None)
        assert answer.status == (200 if first + CHUNK > len(DATA) else 202)
    assert hub.backup(7).parts == {1: DATA}


def test_a_refusal_is_an_answer_with_its_code(hub: FakeBackups) -> None:
    hub.refusals["upload"] = [(413, "too_large"), (503, "store_away")]
    client = transfer(hub)
    refused = client.call("POST", "/backups/7/upload", {})
    assert (refused.status, refused.code, refused.is_success) == (413, "too_large", False)
    away = client.call("POST", "/backups/7/upload", {})
    assert (away.status, away.code, away.retry_after_s) == (503, "store_away", 0)
    assert client.call("POST", "/backups/7/upload", {"parent_id": None}).data["part_size"] == 8 * 1024 * 1024


@pytest.mark.parametrize("headers", [b"", b"Content-Length: many\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_archive_without_a_length_is_no_answer(headers: bytes) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\nx") as address, pytest.raises(TransferBrokenError):
        opened_length(HubTransfer(address, Gate(0.0)).opened("/backups/7/archive", 0))


def test_an_answer_that_is_nested_without_end_is_an_answer_without_data() -> None:
    body = b"[" * 200_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nRetry-After: 9999999999\r\n\r\n" % len(body)
    with answering(head + body) as address:
        answer = HubTransfer(address, Gate(0.0)).call("POST", "/backups/7/complete", {})
    assert (answer.is_success, answer.data) == (True, {})


@contextlib.contextmanager
def answering(data: bytes) -> Iterator[HubAddress]:
    """A hub that says this to whatever it is asked, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                asked = b""
                while not asked.endswith(b"{}" if asked.startswith(b"POST") else b"\r\n\r\n"):
                    asked += connection.recv(65536)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        yield HubAddress(base_url=f"http://127.0.0.1:{port}", api_token=KEY, device_id="rvm", timeout=5.0)
        thread.join()


def test_what_is_cut_is_broken_and_the_next_call_opens_anew(hub: FakeBackups) -> None:
    client = transfer(hub)
    hub.cut_after = CHUNK
    with pytest.raises(TransferBrokenError):
        client.put("/backups/7/parts/1", WHOLE, SUM, lambda _: None)
    assert not hub.backup(7).parts
    assert client.put("/backups/7/parts/1", WHOLE, SUM, lambda _: None).is_success


def test_a_hub_that_is_not_there_is_broken(hub: FakeBackups) -> None:
    client = transfer(hub)
    hub.end()
    with pytest.raises(TransferBrokenError):
        client.call("POST", "/backups/7/upload", {})


def test_a_part_waits_with_its_gate(hub: FakeBackups) -> None:
    gate = Gate(0.0)
    client = transfer(hub, gate)

    def yield_at_the_first(done: int) -> None:
        if done == CHUNK:
            gate.set(Yielding(to="customer"))
            with hub.lock:
                hub.requests.wait_for(lambda: hub.bytes_received >= CHUNK, 60)
            threading.Timer(0.05, gate.set, (Yielding(),)).start()
            assert hub.bytes_received == CHUNK

    assert client.put("/backups/7/parts/1", WHOLE, SUM, yield_at_the_first).is_success
