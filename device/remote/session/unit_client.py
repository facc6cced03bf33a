"""Connects to the units in which systemd runs a session's terminals and files as another user than the agent's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any, Final

from device.kernel.tasks import within
from device.remote.service_user import NoUserError, ServiceUser
from device.remote.session.folder_files import LENGTH, receive, send
from device.remote.session.pty_process import PtyProcess

GREETING_S: Final = 10.0
"""For systemd to start the unit."""
GONE_S: Final = 10.0
"""For the unit to kill what it started; systemd kills the rest."""
_KILLED: Final = -int(signal.SIGKILL)


class UnitLeader:
    """The command on a terminal of such a unit; all of it ends with the connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._code: int | None = None
        self._received = bytearray()  # Bound: one message that says how it ended
        self._has_ended, self._is_gone = asyncio.Event(), asyncio.Event()
        self._loop.add_reader(connection, self._receive)

    @property
    def pid(self) -> int:
        return 0

    @property
    def returncode(self) -> int | None:
        return self._code

    async def wait(self) -> object:
        return await self._has_ended.wait()

    def signal(self, *signals: signal.Signals) -> None:
        """Whatever it is: the unit hangs up, and kills what does not end at that."""
        del signals
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    async def gone(self) -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await within(GONE_S, self._is_gone.wait())
        self._close()

    def _receive(self) -> None:
        try:
            part = self._connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._received += part
        if len(self._received) > LENGTH and self._code is None:
            with contextlib.suppress(ValueError, KeyError):  # half of it
                self._ended(int(json.loads(self._received[LENGTH:])["exit"]))
        if not part or len(self._received) > 4096:
            self._ended(_KILLED)
            self._close()

    def _ended(self, code: int) -> None:
        self._code = code if self._code is None else self._code
        self._has_ended.set()

    def _close(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection)
            self._connection.close()
        self._ended(_KILLED)
        self._is_gone.set()


async def terminal_in_unit(
    argv: Sequence[str], user: ServiceUser, term: str, language: str, size: tuple[int, int]
) -> PtyProcess:
    """Raises OSError or NoUserError."""
    asked = {"kind": "terminal", "argv": list(argv), "term": term, "language": language, "size": size}
    connection, terminal = await asyncio.to_thread(connected, user, asked)
    if terminal is None:
        connection.close()
        raise OSError(f"{user.socket}: no terminal came")
    os.set_blocking(terminal, False)
    return PtyProcess(UnitLeader(connection), terminal)


def connected(user: ServiceUser, asked: dict[str, Any]) -> tuple[socket.socket, int | None]:
    """A new unit, and the handle it answers with. Blocks. Raises OSError, or NoUserError when it runs as another user
    than this one."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(GREETING_S)
        connection.connect(user.socket)
        send(connection, asked)
        answer, handle = receive(connection)
    except (OSError, ValueError):
        connection.close()
        raise
    if answer is None:
        connection.close()
        raise OSError(f"{user.socket}: the unit ended at once; see journalctl -t myrvm-session")
    if answer.get("user") != user.name:
        connection.close()
        if handle is not None:
            os.close(handle)
        raise NoUserError(f"terminal_user: the unit runs as {answer.get('user')} and not as {user.name}")
    return connection, handle
