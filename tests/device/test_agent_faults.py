"""The agent in trouble: a full disk, a hub that freezes, its own loop stalled under systemd's watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol import messages as m
from tests.device.agent_process import AgentProcess, running_agent
from tests.support.fake_hub import fake_hub
from tests.support.until import until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_disconnects_nobody_and_is_over_when_there_is_room(small_disk: Path) -> None:
    async with fake_hub() as hub, running_agent(small_disk, hub.url, metrics_interval=0.05) as agent:
        await hub.connected()
        await hub.until(lambda: len(hub.kept) >= 3)
        hub.acknowledges = False
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        before = len(hub.kept)
        await until(lambda: "the disk refuses" in agent.log or "no room" in agent.log, 20)
        assert len(hub.links) == 1, "still the first link"
        command = hub.command("ping")
        await hub.link.say(command)
        await hub.answer(command)
        filler.unlink()
        hub.acknowledges = True
        await hub.link.say(m.MetricsAck(seq=max(seq for _, seq in hub.kept)))
        await hub.until(lambda: len(hub.kept) >= before + 40)
        assert len(hub.links) == 1
        assert agent.process is not None
        assert agent.process.returncode is None
        assert await agent.stop() == 0


async def test_signs_of_life_for_systemd_stop_with_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        loop = asyncio.get_running_loop()

        async def heard() -> bytes:
            return await asyncio.wait_for(loop.sock_recv(listener, 100), 60)

        async with fake_hub() as hub:
            agent = AgentProcess(tmp_path, hub.url)
            await agent.start()
            try:
                assert await heard() == b"READY=1"
                assert [await heard() for _ in range(3)] == [b"WATCHDOG=1"] * 3
                os.kill(agent.pid, signal.SIGSTOP)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        listener.recv(100)  # what was on its way
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(listener, 100), 3)
                os.kill(agent.pid, signal.SIGCONT)
                assert await heard() == b"WATCHDOG=1"
                await agent.stop()
                while (word := await heard()) == b"WATCHDOG=1":
                    pass
                assert word == b"STOPPING=1"
            finally:
                await agent.kill()
