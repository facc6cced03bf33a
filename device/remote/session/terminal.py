"""Serves streams of kind `terminal`: keys into a shell of the machine, its output back."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from device.kernel.log import Log
from device.kernel.tasks import until_one_ends
from device.remote.service_user import NoUserError, ServiceUser
from device.remote.session.pty_process import PtyProcess, environment_of, is_command
from device.remote.session.streams import DeviceStream, OpenSession, StreamGoneError

MAX_TERMINALS: Final = 4
SIZE: Final = (80, 24)
_TERM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,39}")
_DEFAULT_TERM: Final = "xterm-256color"


class TerminalServer:
    def __init__(self, command: Sequence[str], visitor: Callable[[], ServiceUser], log: Log) -> None:
        self._command = tuple(command)
        self._visitor = visitor
        self._log = log
        # Bound: one an open session.
        self._open: Counter[int] = Counter()

    async def serve(self, stream: DeviceStream, session: OpenSession) -> None:
        if "terminal" not in session.allow:
            stream.refuse("not_allowed", "this session was not opened for a terminal")
            return
        if self._open[session.id] >= MAX_TERMINALS:
            stream.refuse("too_many", f"this session has {MAX_TERMINALS} terminals already")
            return
        self._open[session.id] += 1
        try:
            await self._serve(stream, session)
        finally:
            self._open[session.id] -= 1
            if not self._open[session.id]:
                del self._open[session.id]

    async def _serve(self, stream: DeviceStream, session: OpenSession) -> None:
        try:
            user = self._visitor()
        except NoUserError as nobody:
            self._log("terminal_failed", command=self._command[0] if self._command else "-", error=str(nobody))
            stream.refuse("no_shell", str(nobody))
            return
        command = self._command or (user.shell, "-l")
        if not is_command(command[0]):
            stream.refuse("no_shell", f"{command[0]} is no command on this machine; correct terminal_command")
            return
        try:
            terminal = await _start(command, user, stream.args)
        except NoUserError as nobody:
            self._log("terminal_failed", command=command[0], error=str(nobody))
            stream.refuse("no_shell", str(nobody))
            return
        except OSError as error:
            self._log("terminal_failed", command=command[0], error=error.strerror or repr(error))
            stream.refuse("internal", "the machine could not start a terminal")
            return
        who: dict[str, str | int] = {"admin": session.admin, "address": session.admin_ip, "session": session.id}
        try:
            stream.accept({"user": user.name, "command": shlex.join(command)})
            self._log("terminal_opened", user=user.name, **who)
            await _join(stream, terminal)
        finally:
            await terminal.end()
            self._log("terminal_closed", **who)


async def _start(command: Sequence[str], user: ServiceUser, args: Mapping[str, Any]) -> PtyProcess:
    wanted = args.get("term")
    term = wanted if isinstance(wanted, str) and _TERM.fullmatch(wanted) else _DEFAULT_TERM
    size = _size([args.get("cols"), args.get("rows")]) or SIZE
    if user.socket:
        from device.remote.session.unit_client import terminal_in_unit

        return await terminal_in_unit(command, user, term, os.environ.get("LANG", ""), size)
    return await PtyProcess.start(command, user, environment_of(user, term, os.environ.get("LANG", "")), size)


async def _join(stream: DeviceStream, terminal: PtyProcess) -> None:
    try:
        await until_one_ends(_show(stream, terminal), _type(stream, terminal), _obey(stream, terminal), terminal.reap())
        if terminal.code is not None:
            stream.control({"exit": terminal.code})
        await stream.finish()
    except StreamGoneError:
        return


async def _show(stream: DeviceStream, terminal: PtyProcess) -> None:
    while output := await terminal.read():
        await stream.send(output)
    await terminal.settle()


async def _type(stream: DeviceStream, terminal: PtyProcess) -> None:
    while keys := await stream.receive():
        await terminal.write(keys)


async def _obey(stream: DeviceStream, terminal: PtyProcess) -> None:
    while (asked := await stream.next_control()) is not None:
        if size := _size(asked.get("resize")):
            terminal.resize(*size)
    await asyncio.get_running_loop().create_future()  # the bytes say when it ends


def _size(value: object) -> tuple[int, int] | None:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    columns, rows = value
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in (columns, rows)):
        return None
    return min(columns, 2000), min(rows, 2000)
