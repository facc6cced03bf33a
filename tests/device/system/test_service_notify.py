"""The sign of life for systemd comes only while the work moves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.system.systemd import ServiceNotify


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[dict[str, str], socket.socket]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.setblocking(False)
        yield {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000"}, listener


async def heard(listener: socket.socket, count: int) -> list[bytes]:
    loop = asyncio.get_running_loop()
    return [await asyncio.wait_for(loop.sock_recv(listener, 100), 60) for _ in range(count)]


async def test_signs_of_life_follow_progress_and_stop_with_it(systemd: tuple[dict[str, str], socket.socket]) -> None:
    environ, listener = systemd
    beats, looked = 0, 0
    looked_often = asyncio.Event()

    def progress() -> int:
        nonlocal beats, looked
        looked += 1
        beats += looked <= 3
        if looked >= 8:
            looked_often.set()
        return beats

    notify = ServiceNotify(environ, progress)
    notify.notify("READY=1")
    task = asyncio.ensure_future(notify.run())
    try:
        assert await heard(listener, 4) == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        await asyncio.wait_for(looked_often.wait(), 60)
        with pytest.raises(BlockingIOError):
            listener.recv(100)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_nothing_is_sent_when_nobody_listens(tmp_path: Path) -> None:
    ServiceNotify({}, lambda: 0).notify("READY=1")
    ServiceNotify({"NOTIFY_SOCKET": str(tmp_path / "absent")}, lambda: 0).notify("READY=1")


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0myrvm-test-notify")
        ServiceNotify({"NOTIFY_SOCKET": "@myrvm-test-notify"}, lambda: 0).notify("STOPPING=1")
        with contextlib.closing(listener):
            assert listener.recv(100) == b"STOPPING=1"
