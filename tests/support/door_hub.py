"""The real hub started as a person does, `run_hub.py`, on a port that stays the same from one life to the next."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.support.door_process import DoorProcess


class DoorHub:
    """`written` is everything the hub wrote to standard error in all its lives."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.link = ""
        """The sign-in link its first start printed."""
        self._lives: list[DoorProcess] = []

    @property
    def process(self) -> DoorProcess:
        return self._lives[-1]

    @property
    def written(self) -> str:
        return "".join(life.errors for life in self._lives)

    async def start(self) -> None:
        self._lives.append(DoorProcess(["--port", self.port, "--data-dir", self.data], {}))
        await asyncio.to_thread(self.process.wait_for, "Ctrl-C")
        links = [word for line in self.process.lines for word in line.split() if "rvml_" in word]
        self.link = self.link or next(iter(links), "")

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.signal(how)
        return await asyncio.to_thread(self.process.end)

    @contextlib.asynccontextmanager
    async def signed_in(self) -> AsyncIterator[httpx.AsyncClient]:
        """A browser that used the link; its session is in `cookies`."""
        headers = {"Origin": self.url}
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30, headers=headers) as browser:
            answer = await browser.post("/signin", data={"link": self.link})
            assert answer.status_code == 303, answer.text
            yield browser

    def close(self) -> None:
        for life in self._lives:
            life.close()


@contextlib.asynccontextmanager
async def door_hub(data: Path) -> AsyncIterator[DoorHub]:
    """Running; gone afterwards with everything it started."""
    hub = DoorHub(data)
    try:
        await hub.start()
        yield hub
    finally:
        await asyncio.to_thread(hub.close)
