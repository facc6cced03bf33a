"""Runs an installed unit's ExecStart as systemd would, where none runs: its user, folder, environment, capabilities,
and its word that it is ready."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from installer.command import parse
from tests.support.throwaway_root import ThrowawayRoot

READY_S = 90.0
NOTIFY = "/run/ready.socket"
"""One unit of a root at a time."""
_CREDENTIALS = "3i"


class UnitProcess:
    """`pid`: its main process, as this computer counts."""

    def __init__(self, pid: int, started: subprocess.Popen[bytes]) -> None:
        self.pid = pid
        self._started = started

    def stop(self) -> int:
        """By SIGTERM; its exit code."""
        if self._started.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        return self._started.wait(60)


@contextmanager
def unit_process(root: ThrowawayRoot, name: str) -> Iterator[UnitProcess]:
    """Ready; stopped in the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listening = root.path / NOTIFY.lstrip("/")
        listening.unlink(missing_ok=True)
        heard.bind(str(listening))
        listening.chmod(0o666)
        heard.settimeout(READY_S)
        log = root.path / "var" / "log" / f"{name}.log"
        with log.open("ab") as output:
            started = subprocess.Popen(command(root, name), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        process = None
        try:
            process = UnitProcess(_ready(heard), started)
            yield process
        except TimeoutError as error:
            raise AssertionError(f"{name} did not report ready:\n{log.read_text()}") from error
        finally:
            if process is None:
                started.kill()
                started.wait()
            else:
                process.stop()


def _ready(heard: socket.socket) -> int:
    """The process that says so."""
    while True:
        text, notes, _, _ = heard.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize(_CREDENTIALS)))
        if b"READY=1" in text:
            return int(struct.unpack(_CREDENTIALS, notes[0][2])[0])


def command(root: ThrowawayRoot, name: str) -> list[str]:
    unit = root.run("cat", f"/etc/systemd/system/{name}").stdout.replace("\\\n", " ")
    section = unit.partition("[Service]")[2].partition("\n[")[0]
    pairs = [line.split("=", 1) for line in section.splitlines() if "=" in line and not line.startswith("#")]
    words = dict(pairs)
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": NOTIFY}
    for key, value in pairs:
        if key == "Environment":
            environ |= dict(each.split("=", 1) for each in shlex.split(value))
        elif key == "EnvironmentFile":
            file = root.path / value.lstrip("-/")
            environ |= parse(file.read_text()) if file.exists() else {}
    may = words.get("AmbientCapabilities", "").lower().replace("cap_", "+")
    rights = [f"--inh-caps={may}", f"--ambient-caps={may}"] if may else []
    become = ["setpriv", f"--reuid={words['User']}", f"--regid={words['Group']}", "--init-groups", *rights]
    given = [f"{key}={value}" for key, value in environ.items()]
    started = ["env", "-i", f"--chdir={words['WorkingDirectory']}", *given, *shlex.split(words["ExecStart"])]
    return [*root.enter, *become, "--no-new-privs", *started]
