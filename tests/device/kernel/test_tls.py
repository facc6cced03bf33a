"""A clock in 1970 and certificates: the link comes up, to the right hub only, and only while the clock is absurd."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from device.api_client import ApiClient, HubUnreachableError
from device.kernel import tls
from device.kernel.worker_thread import WorkerThread
from device.link.connection import LinkClosedError, open_link
from device.link.rules import Kind
from tests.device.link.test_connection import hello
from tests.support.fake_hub import KEY, FakeHub

OPENSSL = shutil.which("openssl") or ""
pytestmark = pytest.mark.skipif(not OPENSSL, reason="no openssl on this computer to make certificates with")
IN_1970 = 30.0
TODAY = tls.WRITTEN + 86_400
CA = """[ca]
default_ca = here
[here]
dir = {folder}
new_certs_dir = {folder}
database = {folder}/index
serial = {folder}/serial
default_md = sha256
policy = any
x509_extensions = leaf
copy_extensions = copy
[any]
commonName = supplied
[leaf]
basicConstraints = CA:TRUE
"""


def certificate(folder: Path, host: str) -> ssl.SSLContext:
    """A server's context with a self-signed certificate that is valid from 2090 on; `folder/crt.pem` is its own CA."""
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    (folder / "ca.cnf").write_text(CA.format(folder=folder))
    key, request, made = folder / "key.pem", folder / "csr.pem", folder / "crt.pem"
    new = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={host}"]
    sign = ["ca", "-batch", "-config", folder / "ca.cnf", "-selfsign", "-keyfile", key, "-in", request, "-out", made]
    valid = ["-startdate", "20900101000000Z", "-enddate", "20950101000000Z"]
    for command in ([*new, "-addext", f"subjectAltName=DNS:{host}"], [*sign, *valid]):
        subprocess.run([OPENSSL, *map(str, command)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


@contextlib.asynccontextmanager
async def hub_at(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Answers every request with an empty success."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{"success": true}')
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("clock", "host", "trusted", "why"),
    [
        (IN_1970, "localhost", True, ""),
        (TODAY, "localhost", True, "not yet valid"),
        (IN_1970, "another.test", True, "doesn't match|mismatch"),
        (IN_1970, "localhost", False, "self.signed"),
    ],
)
async def test_only_validity_dates_are_forgiven_and_only_to_an_impossible_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: float, host: str, trusted: bool, why: str
) -> None:
    context = certificate(tmp_path, host)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt.pem"))
    monkeypatch.setattr("device.kernel.tls.time.time", lambda: clock)
    async with hub_at(context) as port:
        opening = asyncio.open_connection("127.0.0.1", port, ssl=tls.context(), server_hostname="localhost")
        if why:
            with pytest.raises(ssl.SSLCertVerificationError, match=why):
                await opening
        else:
            _, writer = await opening
            writer.close()
        client = ApiClient(f"https://localhost:{port}", "rvmk_key", 1, attempts=1)
        http = WorkerThread("http")
        if why:
            with pytest.raises(HubUnreachableError):
                await http.call(client.hub_time)
        else:
            await http.call(client.hub_time)
        http.stop()


@pytest.mark.parametrize("clock", [IN_1970, TODAY])
async def test_the_link_itself_comes_up_in_1970(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: float) -> None:
    hub = FakeHub()
    hub.tls = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt.pem"))
    monkeypatch.setattr("device.kernel.tls.time.time", lambda: clock)
    await hub.start()
    try:
        opening = open_link(f"wss://localhost:{hub.port}/ws/device", KEY, 5.0, hello)
        if clock == IN_1970:
            link, _ = await opening
            await link.close()
        else:
            with pytest.raises(LinkClosedError) as closed:
                await opening
            assert closed.value.end.kind is Kind.UNREACHABLE
            assert "not yet valid" in closed.value.end.detail
    finally:
        await hub.stop()
