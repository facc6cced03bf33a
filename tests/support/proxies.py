"""Real proxies in front of a hub, as docs/proxies/ has them: only addresses and paths are others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.certificates import TestAuthority
from tests.support.hub_process import HubProcess
from tests.support.until import until_answered

EXAMPLES = Path(__file__).parents[2] / "docs" / "proxies"


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
PROXIES: Final[Mapping[str, tuple[tuple[str, str], Maker]]] = {
    "nginx": (("nginx.conf", "nginx_path.conf"), _nginx),
    "caddy": (("Caddyfile", "Caddyfile_path"), _caddy),
    "haproxy": (("haproxy.cfg", "haproxy_path.cfg"), _haproxy),
}
"""The examples for a hub with a site of its own, and for one below BASE_PATH."""
BASE_PATH: Final = "/rvm"


def program(name: str) -> str:
    """Where it is; the test is skipped, saying so, when it is nowhere."""
    found = _program(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt install {'nginx-light' if name == 'nginx' else name}")
    return found


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _configured(folder: Path, name: str, hub: HubProcess, pem: Path, port: int) -> list[str]:
    """The command line."""
    files, make = PROXIES[name]
    folder.mkdir()
    example = (EXAMPLES / files[bool(hub.settings.base_path)]).read_text().replace("/etc/myrvm/tls/hub.pem", str(pem))
    config, words = make(folder, example.replace("127.0.0.1:8001", f"127.0.0.1:{hub.port}"), port)
    (folder / "config").write_text(config)
    return [program(name), *words[1:]]


@contextlib.asynccontextmanager
async def proxy(folder: Path, name: str, hub: HubProcess, authority: TestAuthority, port: int) -> AsyncIterator[None]:
    """The real program with the example of the documentation: only addresses and paths are others."""
    words = _configured(folder, name, hub, authority.hub("localhost", "127.0.0.1"), port)
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
