"""The privileged daemon as a real process, started with its socket as systemd does it; its programs only note how they
were called."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from device.privileged import daemon

FILE: Final = Path(daemon.__file__)
ACTIVATOR: Final = shutil.which("systemd-socket-activate") or ""
PROGRAM: Final = """#!/bin/sh
{{ printf '%s ' "$0" "$@"; echo; }} >> {calls}
/usr/bin/env >> {environment}
{what}
"""
_WITH_SOCKET: Final = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.closerange(4, 256)
os.execve(sys.argv[2], sys.argv[2:], {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "SECRET": "of the unit"})
"""
ME: Final = pwd.getpwuid(os.geteuid()).pw_name
ALLOWED: Final[dict[str, Any]] = {
    "user": ME,
    "verbs": list(daemon.VERBS),
    "services": ["camera.service", "panel.service"],
    "mounts": {"usb": {"device": "/dev/disk/by-label/RVM", "folder": "/media/rvm"}},
}


class PrivilegedProcess:
    """`calls`: the lines that its programs were called with, `journal`: what it logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "socket"
        self.allowed_file = folder / "allowed.json"
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.allow(ALLOWED)
        for name in ("systemctl", "timedatectl", "systemd-mount", "systemd-umount"):
            self.does(name, "exit 0")

    def allow(self, allowed: dict[str, Any] | str) -> None:
        beside = self.allowed_file.with_suffix(".new")
        beside.write_text(allowed if isinstance(allowed, str) else json.dumps(allowed))
        beside.chmod(0o644)
        beside.replace(self.allowed_file)

    def does(self, program: str, what: str) -> None:
        """From now on."""
        places = {"calls": self.folder / "calls", "environment": self.folder / "environment"}
        beside = self.programs / f"{program}.new"
        beside.write_text(PROGRAM.format(what=what, **places))
        beside.chmod(0o755)
        beside.replace(self.programs / program)

    @property
    def calls(self) -> list[str]:
        noted = self.folder / "calls"
        prefix = f"{self.programs}/"
        return [line.strip().removeprefix(prefix) for line in noted.read_text().splitlines()] if noted.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / "environment").read_text().splitlines())

    @property
    def journal(self) -> str:
        return (self.folder / "journal").read_text()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, python: str = sys.executable) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        listener.listen(16)
        command = [python, "-I", "-S", str(FILE), str(self.allowed_file), str(self.programs)]
        with listener, (self.folder / "journal").open("ab") as journal:
            handle = listener.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WITH_SOCKET, str(handle), *command],
                pass_fds=[handle], stderr=journal, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def start_by_systemd(self) -> None:
        """It starts the daemon when somebody asks."""
        command = [sys.executable, "-I", "-S", str(FILE), str(self.allowed_file), str(self.programs)]
        with (self.folder / "journal").open("ab") as journal:
            self.process = subprocess.Popen([ACTIVATOR, "--listen", str(self.socket), *command], stderr=journal)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def send(self, data: bytes) -> dict[str, Any]:
        """What it answers to these bytes."""
        with self.connected() as connection:
            with contextlib.suppress(BrokenPipeError):  # refused before it was read
                connection.sendall(data)
            return answer_on(connection)

    def ask(self, verb: str, argument: str | None = None, **more: Any) -> dict[str, Any]:
        given = {} if argument is None else {"argument": argument}
        return self.send(json.dumps({"verb": verb, **given, **more}).encode() + b"\n")

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self.socket))
            yield connection


def answer_on(connection: socket.socket) -> dict[str, Any]:
    line = b""
    with contextlib.suppress(ConnectionResetError):
        while not line.endswith(b"\n") and (part := connection.recv(4096)):
            line += part
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextlib.contextmanager
def privileged_process() -> Iterator[PrivilegedProcess]:
    """Not started yet; in a short folder that others may enter."""
    with tempfile.TemporaryDirectory(prefix="rvm-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        found = PrivilegedProcess(folder)
        try:
            yield found
        finally:
            found.stop()


@cache
def interpreters() -> list[str]:
    """This one, and others of the computer: a shim is there for some that are not. They are asked at once and once a
    process, because each worker asks while it collects."""
    named = filter(None, map(shutil.which, ("python3.8", "python3.9", "python3.10", "python3.12")))
    asked = [
        (python, subprocess.Popen([python, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for python in named
    ]
    return [sys.executable] + [python for python, process in asked if process.wait() == 0]
