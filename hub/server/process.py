"""What a hub does to its process: event loop, garbage collector, signals, limits, listening socket, end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Final

LAST_RESORT_S: Final = 28.0
"""From the first signal to the end, whatever hangs (bar: 30)."""
ENDED_BY_FORCE: Final = 1
HANDLED: Final = (signal.SIGTERM, signal.SIGINT)


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def notify(state: str) -> None:
    """To the service manager that started this process, if one did (systemd's `Type=notify`)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect("\0" + address[1:] if address.startswith("@") else address)
            manager.sendall(state.encode())


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Ends its tasks, briefly; hanging threads are left to `_last_resort`."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=2.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def calm_collector() -> None:
    """What lives now lives as long as the hub (the defaults cost 45 % of the throughput at 5,000 connections). A look
    at the youngest 50,000 took 25 to 60 ms, in which nobody else had a turn; at 10,000 the CPU a sample is the same."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 500)


@contextlib.contextmanager
def signals(stop: Callable[[], None], reload: Callable[[], None]) -> Generator[None, None, None]:
    """The first SIGTERM or SIGINT calls `stop` and starts the last resort; the second ends the process. SIGHUP calls
    `reload`."""
    loop = asyncio.get_running_loop()
    timers: list[threading.Timer] = []

    def asked(number: int) -> None:
        if timers:
            os._exit(128 + number)
        timers.append(_last_resort())
        stop()

    for number in HANDLED:
        loop.add_signal_handler(number, asked, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (*HANDLED, signal.SIGHUP):
            loop.remove_signal_handler(number)
        for timer in timers:
            if not _stuck_threads(timer):
                timer.cancel()


def _last_resort() -> threading.Timer:
    timer = threading.Timer(LAST_RESORT_S, os._exit, (ENDED_BY_FORCE,))
    timer.daemon = True
    timer.start()
    return timer


def _stuck_threads(timer: threading.Timer) -> bool:
    ours = (threading.main_thread(), threading.current_thread(), timer)
    return any(t.is_alive() and not t.daemon for t in threading.enumerate() if t not in ours)


INTERVAL_S: Final = 0.05
MINUTE_TURNS: Final = 1200


class LoopLag:
    """`longest_s` since the start (or `reset`), `recent_s` in this minute or the one before."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._this_minute = 0.0
        self._last_minute = 0.0
        self._minute_ends = 0.0
        self.turns: deque[float] = deque(maxlen=MINUTE_TURNS)
        """How late each turn of the last minute was."""

    @property
    def recent_s(self) -> float:
        return max(self._this_minute, self._last_minute)

    def reset(self) -> None:
        self.longest_s = self._this_minute = self._last_minute = 0.0

    def note(self, late: float, now: float) -> None:
        self.longest_s = max(self.longest_s, late)
        if now >= self._minute_ends:
            self._last_minute, self._this_minute = self._this_minute, 0.0
            self._minute_ends = now + 60.0
        self._this_minute = max(self._this_minute, late)
        self.turns.append(late)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            now = loop.time()
            self.note(max(0.0, now - due), now)


BACKLOG: Final = 4096
"""A fleet that comes back at once must not be refused by the kernel."""
USER_TIMEOUT_MS: Final = 25_000
"""Of accepted sockets: the kernel drops a peer that acknowledges nothing for so long (bar: 30 s)."""


class CannotListenError(Exception): ...


def listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CannotListenError(f"{host!r} is no address of this computer. Choose another --host.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise CannotListenError(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use. Stop what uses it, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Choose another --host or --port."


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """All interfaces become loopback."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a look-up, not a bind
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def raise_open_files() -> int:
    """To the hard limit, which it returns: every machine and browser is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
