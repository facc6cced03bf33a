"""Both ends of one stream in memory: the machine's, as a handler gets it, and the hub's, as a test plays it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from device.remote.session.streams import OpenSession, Serve, StreamGoneError
from tests.support.until import PATIENCE_S, until

WINDOW = 256 * 1024


def lease(
    allow: Iterable[str] = ("terminal", "ports", "files"), ports: tuple[int, ...] = (), number: int = 7
) -> OpenSession:
    return OpenSession(number, "Siti", "192.168.1.9", ports, frozenset(allow), time.monotonic() + 3600)


class Lane:
    """One direction: bytes up to the window, then the sender waits."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self._moved = asyncio.Event()

    async def put(self, data: bytes, gone: asyncio.Event) -> None:
        await self._until(lambda: len(self.data) < WINDOW, gone)
        self.data += data
        self._moved.set()

    async def take(self, gone: asyncio.Event) -> bytes:
        await self._until(lambda: bool(self.data) or self.ended, gone)
        taken = bytes(self.data[: 16 * 1024])
        del self.data[: len(taken)]
        self._moved.set()
        return taken

    def end(self) -> None:
        self.ended = True
        self._moved.set()

    def stir(self) -> None:
        self._moved.set()

    async def _until(self, true: Callable[[], bool], gone: asyncio.Event) -> None:
        while not true() and not gone.is_set():
            self._moved.clear()
            await self._moved.wait()
        if gone.is_set():
            raise StreamGoneError


class StreamPair:
    """The machine's end is this object itself (a DeviceStream); the hub's end are the methods named `hub_...`."""

    def __init__(self, kind: str, args: Mapping[str, Any]) -> None:
        self.kind = kind
        self.args = args
        self.info: dict[str, Any] | None = None
        self.refused: tuple[str, str] | None = None
        self.was_reset: str | None = None
        self.controls: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self._up, self._down = Lane(), Lane()
        self._told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.answered = asyncio.Event()

    def accept(self, info: Mapping[str, object]) -> None:
        assert self.info is None
        assert self.refused is None
        self.info = dict(info)
        self.answered.set()

    def refuse(self, code: str, message: str) -> None:
        assert self.info is None
        self.refused = (code, message)
        self._lose()
        self.answered.set()

    async def send(self, data: bytes) -> None:
        assert self.info is not None, "bytes before the acceptance"
        assert not self._up.ended
        await self._up.put(data, self.gone)

    async def receive(self) -> bytes:
        return await self._down.take(self.gone)

    def control(self, values: Mapping[str, object]) -> None:
        self.controls.append(dict(values))

    async def next_control(self) -> dict[str, Any] | None:
        return await self._told.get()

    async def finish(self) -> None:
        if self.gone.is_set():
            raise StreamGoneError
        self._up.end()

    def reset(self, code: str, message: str = "") -> None:
        self.was_reset = code
        self._lose()

    async def hub_send(self, data: bytes) -> None:
        for at in range(0, len(data), 32 * 1024):
            await self._down.put(data[at : at + 32 * 1024], self.gone)

    async def hub_receive(self) -> bytes:
        return await self._up.take(self.gone)

    async def hub_read_all(self) -> bytes:
        whole = bytearray()
        while data := await self.hub_receive():
            whole += data
        return bytes(whole)

    async def hub_read_until(self, wanted: bytes) -> bytes:
        seen = bytearray()
        while wanted not in seen:
            data = await asyncio.wait_for(self.hub_receive(), PATIENCE_S)
            assert data, f"it ended with {bytes(seen)!r}"
            seen += data
        return bytes(seen)

    def hub_control(self, values: dict[str, Any]) -> None:
        self._told.put_nowait(values)

    async def hub_finish(self) -> None:
        self._down.end()

    async def hub_reset(self) -> None:
        self._lose()

    @property
    def waiting(self) -> int:
        """Bytes the hub has not taken yet."""
        return len(self._up.data)

    @property
    def untaken(self) -> int:
        """Bytes the machine has not taken yet."""
        return len(self._down.data)

    @property
    def finished(self) -> bool:
        return self._up.ended

    def _lose(self) -> None:
        self.gone.set()
        self._up.stir()
        self._down.stir()
        self._told.put_nowait(None)


@contextlib.asynccontextmanager
async def served(
    serve: Serve, kind: str, args: Mapping[str, Any], session: OpenSession | None = None
) -> AsyncIterator[tuple[StreamPair, asyncio.Task[None]]]:
    """A stream with its handler running, once that has accepted or refused; cancelled at the end as a session does."""
    stream = StreamPair(kind, args)

    async def handle() -> None:
        await serve(stream, session or lease())

    task = asyncio.create_task(handle())
    try:
        await until(lambda: stream.answered.is_set() or task.done())
        yield stream, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
