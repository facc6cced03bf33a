"""Tunnels without a machine: streams whose other end the test holds."""

from __future__ import annotations

import asyncio
from typing import Any

from hub.remote.tunnel.tunnel import TunnelError


class FakeStream:
    """`say` is the machine's output, `typed` what it was sent, `words` what it was told."""

    def __init__(self, args: dict[str, Any] | None = None) -> None:
        self.args = args or {}
        self.info: dict[str, Any] = {"user": "myrvm-service", "command": "/bin/sh"}
        self.typed = bytearray()
        self.words: list[dict[str, Any]] = []
        self.was_reset: str | None = None
        self.finished = False
        self.taken = 0
        """Bytes of output the hub has read."""
        self.open = asyncio.Event()
        """Clear it, and the machine takes no more input."""
        self.open.set()
        self._output: asyncio.Queue[bytes | TunnelError] = asyncio.Queue()
        self._controls: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def say(self, data: bytes) -> None:
        self._output.put_nowait(data)

    def exit(self, code: int) -> None:
        self._output.put_nowait(b"")
        self._controls.put_nowait({"exit": code})
        self._controls.put_nowait(None)

    def fail(self, code: str, message: str = "") -> None:
        self._output.put_nowait(TunnelError(code, message))

    async def send(self, data: bytes) -> None:
        await self.open.wait()
        self.typed += data

    async def receive(self) -> bytes:
        said = await self._output.get()
        if isinstance(said, TunnelError):
            raise said
        self.taken += len(said)
        return said

    async def controls(self) -> dict[str, Any] | None:
        return await self._controls.get()

    def control(self, values: dict[str, Any]) -> bool:
        self.words.append(values)
        return True

    async def finish(self) -> None:
        self.finished = True

    def reset(self, code: str, message: str = "") -> None:
        self.was_reset = message or code


class FakeTunnels:
    """`refusal`: what the machine says to the next stream."""

    def __init__(self) -> None:
        self.streams: list[FakeStream] = []
        self.refusal: TunnelError | None = None

    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> FakeStream:
        assert kind == "terminal"
        if self.refusal is not None:
            raise self.refusal
        self.streams.append(FakeStream(args))
        return self.streams[-1]
