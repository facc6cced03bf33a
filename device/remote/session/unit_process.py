"""One terminal, or what opens the files of one session, in a process of another user than the agent's.

`myrvm-session@.service` starts it for each connection of the agent, as `myrvm-session`, in a control group of its own.
Nothing of it outlives the connection: this process takes over whatever its children leave behind and kills it, and
systemd kills what is left of the group. It has no key, no settings, and asks nobody."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

GREETING_S: Final = 10.0
HANG_UP_S: Final = 1.0
"""After SIGHUP, for a shell to write its history."""
KILL_S: Final = 5.0
_SUBREAPER: Final = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2): orphans below become children of this process."""


def main(agents: str) -> None:
    """`agents`: the user who alone may connect, but for root."""
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from device.remote.session.folder_files import receive, serve

    agent = _connection()
    _, uid, _ = struct.unpack("3i", agent.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid not in (0, *(one.pw_uid for one in pwd.getpwall() if one.pw_name == agents)):
        return
    if os.geteuid() == 0:
        return  # never root's, whatever a unit says
    agent.settimeout(GREETING_S)
    asked = receive(agent)[0]
    agent.settimeout(None)
    if asked == {"kind": "files"}:
        _reply(agent, {"user": _own().pw_name})
        os.dup2(agent.fileno(), 0)
        serve(())
    elif asked is not None and asked.get("kind") == "terminal":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        try:
            _terminal(agent, asked)
        finally:
            _kill_all()


def _connection() -> socket.socket:
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        raise OSError("systemd starts this for a connection")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    os.set_inheritable(3, False)
    return socket.socket(fileno=3)


def _reply(agent: socket.socket, message: dict[str, Any], handle: int | None = None) -> None:
    from device.remote.session.folder_files import send

    with contextlib.suppress(OSError):  # the agent has gone
        send(agent, message, handle)


def _terminal(agent: socket.socket, asked: dict[str, Any]) -> None:
    from device.remote.service_user import choose
    from device.remote.session.pty_process import OWN_TERMINAL, environment_of, opened_terminal

    user = choose("", os.geteuid())
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _nothing)
    terminal, inside = opened_terminal(user, (asked["size"][0], asked["size"][1]))
    try:
        shell = subprocess.Popen(  # noqa: S603 - what the machine's own file names
            ["/bin/sh", "-c", OWN_TERMINAL, os.ttyname(inside), *asked["argv"]],
            stdin=inside, stdout=inside, stderr=inside, start_new_session=True, cwd="/",
            env=environment_of(user, asked["term"], asked["language"]),
        )  # fmt: skip
    finally:
        os.close(inside)
    _reply(agent, {"user": user.name}, terminal)
    os.close(terminal)
    while shell.poll() is None and not _hung_up(agent, ended):
        pass
    if shell.poll() is None:
        _end(shell)
    _kill_all()
    _reply(agent, {"exit": shell.wait()})


def _hung_up(agent: socket.socket, ended: socket.socket) -> bool:
    """Wait for the agent's end of the connection, or for a child's."""
    ready, _, _ = select.select([agent, ended], [], [])
    if ended in ready:
        ended.recv(4096)
    with contextlib.suppress(ConnectionError):
        return agent in ready and not agent.recv(4096)
    return True


def _end(shell: subprocess.Popen[bytes]) -> None:
    for pid in _below(os.getpid()):
        for one in (signal.SIGHUP, signal.SIGCONT):
            with contextlib.suppress(OSError):
                os.kill(pid, one)
    with contextlib.suppress(subprocess.TimeoutExpired):
        shell.wait(HANG_UP_S)


def _kill_all() -> None:
    """Everything below, however it hid from its session or process group, until nothing is left."""
    until = time.monotonic() + KILL_S
    while (left := list(_below(os.getpid()))) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _below(top: int) -> Iterator[int]:
    """Living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(entry.name)] = int(parent)
    for pid, parent_of in parents.items():
        above: int | None = parent_of
        while above is not None and above != top:
            above = parents.get(above)
        if above == top:
            yield pid


def _own() -> pwd.struct_passwd:
    return pwd.getpwuid(os.geteuid())


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler that is there, so that the end of a child wakes."""


if __name__ == "__main__":
    main(sys.argv[1])
