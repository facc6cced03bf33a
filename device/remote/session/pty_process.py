"""Runs a command on a PTY: own session and controlling terminal, unprivileged user, clean environment.

Nothing is buffered: a slow reader makes the command wait, a command that does not read makes the writer wait."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import struct
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from device.kernel.tasks import within
from device.remote.service_user import ServiceUser

T = TypeVar("T")
CHUNK: Final = 16 * 1024
HANG_UP_S: Final = 1.0
"""After SIGHUP, for a shell to write its history."""
LAST_OUTPUT_S: Final = 1.0
"""For the last bytes, when an outside process holds the terminal open."""
MAX_SIDE: Final = 2000
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_IUTF8: Final = 0o40000
OWN_TERMINAL: Final = 'cd 2>/dev/null; exec "$@" <>"$0" >&0 2>&0'
"""A session leader's first terminal becomes its controlling one, so none of our code runs between fork and exec."""


class TerminalLeader(Protocol):
    """The command on a terminal, wherever it runs. `pid` 0: not our child. `returncode`: as asyncio has it, None while
    it runs."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> object:
        """For the command's end."""

    def signal(self, *signals: signal.Signals) -> None:
        """To it and all that it started."""

    async def gone(self) -> None:
        """When nothing of it is left."""


class PtyProcess:
    """`reap` runs beside the reading."""

    def __init__(self, process: TerminalLeader, terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._loop = asyncio.get_running_loop()
        # Bound: one a reader and one a writer.
        self._waiters: set[asyncio.Future[bool]] = set()
        self._silent = False

    @classmethod
    async def start(
        cls, argv: Sequence[str], user: ServiceUser, environment: Mapping[str, str], size: tuple[int, int]
    ) -> PtyProcess:
        """In a terminal of (columns, rows). Raises OSError."""
        _let_children_receive_signals()
        terminal, inside = opened_terminal(user, size)
        try:
            drop: dict[str, object] = {}
            if user.drop:
                drop = {"user": user.uid, "group": user.gid, "extra_groups": user.groups()}
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", OWN_TERMINAL, os.ttyname(inside), *argv,
                stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
                cwd="/", env=dict(environment), **drop,  # type: ignore[arg-type]
            )  # fmt: skip
        except BaseException:
            os.close(terminal)
            raise
        finally:
            os.close(inside)
        return cls(ChildLeader(process), terminal)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """As a shell reports it (128 + the signal); None while it runs."""
        code = self._process.returncode
        return code if code is None or code >= 0 else 128 - code

    async def read(self) -> bytes:
        while (output := _now(os.read, self._terminal, CHUNK)) is None:
            if self._silent or not await self._ready(self._loop.add_reader, self._loop.remove_reader):
                return b""
        return output or b""

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = _now(os.write, self._terminal, rest)
            if written is None:
                if self._silent or not await self._ready(self._loop.add_writer, self._loop.remove_writer):
                    return
            elif written is False:
                return
            else:
                rest = rest[written:]

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(OSError):
            _set_size(self._terminal, (columns, rows))

    async def reap(self) -> None:
        """Wait for the command, kill what it left, end `read`. Never returns."""
        await self._process.wait()
        self._process.signal(signal.SIGKILL)
        self._loop.call_later(LAST_OUTPUT_S, self._fall_silent)
        await self._loop.create_future()

    async def settle(self) -> None:
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await within(HANG_UP_S, self._process.wait())

    async def end(self) -> None:
        try:
            if self._process.returncode is None:
                self._process.signal(signal.SIGHUP, signal.SIGCONT)
                await self.settle()
        finally:
            self._process.signal(signal.SIGKILL)
            self._fall_silent()
            self._loop.remove_reader(self._terminal)
            self._loop.remove_writer(self._terminal)
            os.close(self._terminal)
        await self._process.gone()

    def _fall_silent(self) -> None:
        self._silent = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(False)

    async def _ready(self, add: Callable[..., object], remove: Callable[[int], object]) -> bool:
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiters.add(waiter)
        add(self._terminal, _settle, waiter)
        try:
            return await waiter
        finally:
            remove(self._terminal)
            self._waiters.discard(waiter)


class ChildLeader:
    """A child of this process that leads a session of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> object:
        return await self._process.wait()

    def signal(self, *signals: signal.Signals) -> None:
        for pid in _of_session(self._process.pid):
            for one in signals:
                with contextlib.suppress(OSError):
                    os.kill(pid, one)

    async def gone(self) -> None:
        await self._process.wait()


def is_command(name: str) -> bool:
    """In a terminal's PATH."""
    return shutil.which(name, path=PATH) is not None


def environment_of(user: ServiceUser, terminal: str, language: str) -> dict[str, str]:
    utf8 = language if language.lower().replace("-", "").endswith("utf8") else "C.UTF-8"
    return {
        "TERM": terminal,
        "LANG": utf8,
        "PATH": PATH,
        "HOME": user.home,
        "USER": user.name,
        "LOGNAME": user.name,
        "SHELL": user.shell,
    }


def _let_children_receive_signals() -> None:
    """What an agent ignores (started by nohup, or behind `&`) its children would ignore as well, Ctrl-C included."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not in the main thread: then the kill has to do
                signal.signal(number, lambda *_: None)


def _now(call: Callable[..., T], *arguments: object) -> T | Literal[False] | None:
    try:
        return call(*arguments)
    except BlockingIOError:
        return None
    except OSError:
        return False


def _settle(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(True)


def opened_terminal(user: ServiceUser, size: tuple[int, int]) -> tuple[int, int]:
    """Our end, which does not block, and the command's. Raises OSError."""
    terminal, inside = os.openpty()
    try:
        os.set_blocking(terminal, False)
        _set_size(terminal, size)
        attributes = termios.tcgetattr(inside)
        attributes[0] |= _IUTF8  # backspace takes a whole character, not a byte of one
        termios.tcsetattr(inside, termios.TCSANOW, attributes)
        if user.drop:
            os.fchown(inside, user.uid, -1)
        os.fchmod(inside, 0o600)
    except BaseException:
        os.close(terminal)
        os.close(inside)
        raise
    return terminal, inside


def _set_size(terminal: int, size: tuple[int, int]) -> None:
    columns, rows = (min(max(side, 1), MAX_SIDE) for side in size)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _of_session(leader: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == leader:
                    yield int(entry.name)
