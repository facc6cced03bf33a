"""Hubs and agents that start in a moment: forked from one process that has imported and compiled everything, one such
process for each run of pytest (or worker of it).

Each is asked for over a connection of its own, so that it does not matter in which event loop a test lives. The answers
are lines: `forked PID`, then `serves URL` when a hub accepts, then `ended CODE`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, Final

from tests.support.migrated_sqlite import copy_of_migrated_sqlite

ROOT: Final = Path(__file__).parents[2]


class Forked:
    """A process, handled as asyncio's own. `url` comes when it is a hub and accepts."""

    stdin: asyncio.StreamWriter | None = None

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        self.pid = pid
        self.url: asyncio.Future[str] = loop.create_future()
        self.code: asyncio.Future[str] = loop.create_future()
        self._listening = asyncio.ensure_future(self._listen(reader, writer))

    @property
    def returncode(self) -> int | None:
        return int(self.code.result()) if self.code.done() else None

    async def wait(self) -> int:
        return int(await asyncio.shield(self.code))

    def send_signal(self, number: int) -> None:
        """Like asyncio's: one that has just ended is none to send it to."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            word, value = line.decode().split()
            (self.url if word == "serves" else self.code).set_result(value)
        writer.close()
        if not self.code.done():
            self.code.set_exception(AssertionError("the process that forks has ended"))


async def fork(kind: str, log: Path, given: dict[str, Any]) -> Forked:
    """A `hub` with these settings, or an `agent` with these arguments and that environment; its errors go to `log`."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_address())
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    writer.write(json.dumps([kind, str(log), given]).encode() + b"\n")
    pid = (await reader.readline()).split()[1]
    return Forked(int(pid), reader, writer)


@functools.cache
def _address() -> str:
    """Where the parent listens: started when it is asked for the first time, ends with this process."""
    folder = tempfile.mkdtemp(prefix="rvm-forks-")
    address, empty = f"{folder}/socket", copy_of_migrated_sqlite(Path(folder) / "empty.sqlite3")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server", str(listener.fileno()), str(empty)],
            cwd=ROOT, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True,
        )  # fmt: skip

    def end() -> None:
        parent.kill()
        parent.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return address


class _Parent:
    """Forks; ends when standard input does."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._asked: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for file in (self._listener, reading, 0):
            self._selector.register(file, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in self._selector.select()]
            if 0 in ready:
                return
            if reading in ready:
                os.read(reading, 1024)
                self._reap()
            if self._listener in ready:
                connection, _ = self._listener.accept()
                self._fork(connection)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._asked.pop(ended[0]) as connection:
                    _say(connection, f"ended {os.waitstatus_to_exitcode(ended[1])}")

    def _fork(self, connection: socket.socket) -> None:
        with connection.makefile() as lines:
            kind, log, given = json.loads(lines.readline())
        pid = os.fork()
        if pid:
            self._asked[pid] = connection
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for other in (self._listener, *self._asked.values()):
            other.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        _say(connection, f"forked {os.getpid()}")
        try:
            code = _agent(**given) if kind == "agent" else _hub(connection, given)
        except BaseException:  # noqa: BLE001 - the parent's life must not go on in the child
            traceback.print_exc()
            code = 1
        os._exit(code)


def _agent(arguments: list[str], environ: dict[str, str]) -> int:
    from device.cli.main import main
    from tests.support.crash_points import arm_agent

    os.environ.clear()
    os.environ.update(environ)
    arm_agent(Path(arguments[arguments.index("--config") + 1]).parent)
    return main(arguments)


def _hub(connection: socket.socket, given: dict[str, Any]) -> int:
    from hub import serving
    from hub.backups import check
    from hub.settings import Settings
    from tests.support.crash_points import arm_hub
    from tests.support.hub_probe import watch

    vars(check)["NICE"] = 0  # among other tests a polite drill gets no turn for minutes
    settings = Settings.load(given, {})
    watch(settings.data_dir)
    arm_hub(settings.data_dir)
    return serving.serve(settings, lambda url: _say(connection, f"serves {url}"))


def _warm(empty: Path) -> None:
    """Compile what every child would compile: templates, scripts and style sheets, and what a hub's start reads."""
    from dashboard import assets, pages
    from hub.lifespan import hub_life
    from hub.serving import create_app
    from hub.settings import Settings

    pages.load()
    assets.load()
    settings = Settings.load({"data_dir": empty.parent / "data", "database_url": f"sqlite:///{empty}"}, {})

    async def live() -> None:
        async with hub_life(create_app(settings), settings):
            pass

    for _ in range(2):  # what is read a second time is compiled for good
        asyncio.run(live())
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def _say(connection: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(text.encode() + b"\n")


if __name__ == "__main__":
    from device import agent  # noqa: F401 - imported once, for every child
    from device.cli import main as cli  # noqa: F401
    from hub import serving  # noqa: F401

    _warm(Path(sys.argv[2]))
    gc.collect()
    gc.freeze()  # what is here is every child's, and no child's collector need look at it
    _Parent(socket.socket(fileno=int(sys.argv[1]))).run()
