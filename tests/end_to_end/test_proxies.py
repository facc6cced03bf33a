"""Behind nginx, Caddy and HAProxy as docs/proxies/ has them: links, browsers, the client's address, large uploads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import websockets

from protocol import messages as m
from tests.support.certificates import TestAuthority
from tests.support.free_ports import free_port
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubProcess, hub_process
from tests.support.machine_client import MachineClient
from tests.support.until import until_answered

EXAMPLES = Path(__file__).parents[2] / "docs" / "proxies"
CLIENT = "127.0.0.2"
"""Not the proxy's own address, as on a network."""
CLAIMED = "9.9.9.9"
LARGE = 24 * 1024 * 1024


def _nginx(folder: Path, example: str, port: int) -> tuple[str, list[str]]:
    site = example.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("hub.example", "localhost")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    head = f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
    main = f"{head}http {{\naccess_log off;\n{places}{site}}}\n"
    return main, ["nginx", "-c", str(folder / "config"), "-p", str(folder), "-e", "stderr"]


def _caddy(folder: Path, example: str, port: int) -> tuple[str, list[str]]:
    quiet = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    site = example.replace("hub.example {", f"https://localhost:{port} {{")
    return quiet + site, ["caddy", "run", "--config", str(folder / "config"), "--adapter", "caddyfile"]


def _haproxy(folder: Path, example: str, port: int) -> tuple[str, list[str]]:
    return example.replace("bind :443", f"bind 127.0.0.1:{port}"), ["haproxy", "-db", "-f", str(folder / "config")]


Maker = Callable[[Path, str, int], tuple[str, list[str]]]
PROXIES: dict[str, tuple[str, Maker]] = {
    "nginx": ("nginx.conf", _nginx), "caddy": ("Caddyfile", _caddy), "haproxy": ("haproxy.cfg", _haproxy),
}  # fmt: skip


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _configured(folder: Path, name: str, hub_port: int, pem: Path, port: int) -> list[str]:
    """The command line."""
    file, make = PROXIES[name]
    program = _program(name)
    assert program is not None
    folder.mkdir()
    example = (EXAMPLES / file).read_text().replace("/etc/myrvm/tls/hub.pem", str(pem))
    config, words = make(folder, example.replace("127.0.0.1:8001", f"127.0.0.1:{hub_port}"), port)
    (folder / "config").write_text(config)
    return [program, *words[1:]]


@contextlib.asynccontextmanager
async def proxy(folder: Path, name: str, hub: HubProcess, authority: TestAuthority, port: int) -> AsyncIterator[None]:
    """The real program with the example of the documentation: only addresses and paths are others."""
    words = _configured(folder, name, hub.port, authority.hub("localhost", "127.0.0.1"), port)
    environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    process = await asyncio.create_subprocess_exec(
        *words, env=environ, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
    )
    os.close(log)

    async def accepts() -> bool:
        assert process.returncode is None, (folder / "log").read_text()
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await until_answered(accepts)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.mark.parametrize("name", PROXIES)
async def test_the_example_passes_all_that_the_hub_needs(tmp_path: Path, name: str) -> None:
    if _program(name) is None:
        pytest.skip(f"{name} is not installed: apt install {'nginx-light' if name == 'nginx' else name}")
    port, authority = free_port(), TestAuthority(tmp_path / "own")
    trust = ssl.create_default_context(cafile=str(authority.crt))
    url = f"https://localhost:{port}"
    async with (
        hub_process(tmp_path, behind_proxy="127.0.0.1", public_url=url) as hub,
        proxy(tmp_path / name, name, hub, authority, port),
    ):
        headers = {"Authorization": f"Bearer {hub.admin.session}", "X-Forwarded-For": CLAIMED}
        over = httpx.AsyncHTTPTransport(verify=trust, local_address=CLIENT)
        async with httpx.AsyncClient(base_url=url, transport=over, headers=headers, timeout=60) as client:
            key = await hub.add_machine("rvm-1")
            await _link(url, trust, key, client)
            await _upload(client, key.id, key.api_key)
            page = await client.get("/login", headers={"Authorization": ""})
            assert page.status_code == 200
            assert "max-age" in page.headers["strict-transport-security"]
        cookie = {"Cookie": f"__Host-rvm_session={hub.admin.session}", "Origin": url}
        address = f"wss://localhost:{port}/ws/dashboard"
        async with websockets.connect(address, additional_headers=cookie, ssl=trust, proxy=None) as feed:
            assert "hello" in str(await feed.recv())


async def _link(url: str, trust: ssl.SSLContext, key: MachineKey, client: httpx.AsyncClient) -> None:
    address = url.replace("https", "wss")
    async with MachineClient.connect(address, key, ssl=trust, local_addr=(CLIENT, 0)) as machine:
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
