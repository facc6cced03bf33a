"""Mosquitto for one benchmark, where it is installed: as its package configures it, or tuned by one line."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.hub import free_port
from bench.processes import Server, end, on_core

BINARIES: Final = ("mosquitto", "/usr/sbin/mosquitto")
READY_S: Final = 10.0
TUNED: Final = "set_tcp_nodelay true"


def find() -> str:
    """Its path; empty when it is not installed."""
    return next((path for name in BINARIES if (path := shutil.which(name))), "")


@contextlib.contextmanager
def mosquitto(folder: Path, *lines: str) -> Iterator[Server]:
    """A broker on the server's core. Persistence is on, as the Debian package has it; `lines` are added."""
    port, home = free_port(), folder / f"mosquitto-{len(lines)}"
    home.mkdir()
    config = home / "mosquitto.conf"
    settings = [
        f"listener {port} 127.0.0.1", "allow_anonymous true", "user root", "persistence true",
        f"persistence_location {home}/", "log_dest none", *lines,
    ]  # fmt: skip
    config.write_text("\n".join(settings) + "\n", encoding="utf-8")
    with on_core(0):
        process = subprocess.Popen([find(), "-c", str(config)], text=True)
    try:
        _await_open(port)
        yield Server(process, port, [process.pid])
    finally:
        end(process)


def _await_open(port: int) -> None:
    ends = time.monotonic() + READY_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > ends:
            raise RuntimeError("mosquitto does not listen")
        time.sleep(0.02)
