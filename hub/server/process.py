"""What a hub does to its own process: the event loop, the garbage collector, the signals, and an end that always comes.

Knows no socket and no application.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
from collections.abc import Callable, Generator
from typing import Final

LAST_RESORT_S: Final = 28.0
"""From the first signal to the end of the process, whatever hangs (a thread in a dead database, say); the bar is 30."""
ENDED_BY_FORCE: Final = 1
HANDLED: Final = (signal.SIGTERM, signal.SIGINT)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """End what still runs in it, briefly; threads that hang are left to `last_resort`."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=2.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def calm_collector() -> None:
    """What lives now lives as long as the hub: the collector need not walk it again, nor run every 700 allocations
    (its defaults cost 45 % of the throughput at 5,000 connections, and pauses of 0.4 s)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.contextmanager
def signals(stop: Callable[[], None]) -> Generator[None, None, None]:
    """The first SIGTERM or SIGINT calls `stop` and starts the last resort; the second ends the process at once."""
    loop = asyncio.get_running_loop()
    timers: list[threading.Timer] = []

    def asked(number: int) -> None:
        if timers:
            os._exit(128 + number)
        timers.append(_last_resort())
        stop()

    for number in HANDLED:
        loop.add_signal_handler(number, asked, number)
    try:
        yield
    finally:
        for number in HANDLED:
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
    """Whether a thread is still there that the interpreter would wait for at its end."""
    ours = (threading.main_thread(), threading.current_thread(), timer)
    return any(t.is_alive() and not t.daemon for t in threading.enumerate() if t not in ours)
