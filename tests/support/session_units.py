"""The process of `myrvm-session@.service`, started for each connection as systemd does it: as another user, with the
connection as its third handle."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from device.remote.service_user import ServiceUser, choose
from tests.device.agent_process import ROOT

UNIT: Final = "device/remote/session/unit_process.py"
_ACCEPT: Final = """
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
uid, gid = int(sys.argv[2]), int(sys.argv[3])
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        os.dup2(connection.fileno(), 103)
        os.dup2(103, 3)
        os.closerange(4, 256)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LANG": "C"}
        os.execve(sys.argv[4], sys.argv[4:], environ)
    connection.close()
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


def others_python(user: pwd.struct_passwd) -> str:
    """An interpreter that `user` may run."""
    for python in (sys.executable, "/usr/bin/python3"):
        code = "import sys; sys.exit(sys.version_info < (3, 10))"
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run([python, "-I", "-S", "-c", code], user=user.pw_uid, check=False, timeout=60, cwd="/")
            if done.returncode == 0:
                return python
    pytest.skip(f"{user.pw_name} may run no Python of 3.10 or newer on this computer")


@contextlib.contextmanager
def session_units(user: pwd.struct_passwd, agents: str) -> Iterator[Path]:
    """The socket. `user`: whom the units run as; `agents`: the name of who may connect."""
    with tempfile.TemporaryDirectory(prefix="rvm-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        for room in ("device", "protocol"):  # ours may lie where only we may read
            shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "locales"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "socket"))
        listener.listen(16)
        unit = [others_python(user), "-I", "-S", "-B", "-X", "utf8", str(folder / UNIT), agents]
        handle = str(listener.fileno())
        with listener:
            acceptor = subprocess.Popen(
                [sys.executable, "-c", _ACCEPT, handle, str(user.pw_uid), str(user.pw_gid), *unit],
                pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            yield folder / "socket"
        finally:
            acceptor.kill()
            acceptor.wait()


def session_user(user: pwd.struct_passwd, path: Path) -> ServiceUser:
    """As an agent that is not root chooses it."""
    return choose(user.pw_name, os.geteuid() or 1, socket=str(path))
