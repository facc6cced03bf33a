"""What every yardstick shares: the least of the wire, decoded by types of its own, and the link that acknowledges."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from datetime import datetime

import msgspec
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

WELCOME = (
    '{"type":"welcome","session_id":"1","time":"2026-01-01T00:00:00Z","protocol":2,'
    '"config":{"version":0,"values":{}},"live_interval":0}'
)


class Sample(msgspec.Struct):
    timestamp: datetime
    cpu_usage: float | None = None
    memory_usage: float | None = None
    disk_usage: float | None = None
    gpu_usage: float | None = None
    temperature: float | None = None


class Metrics(msgspec.Struct, tag="metrics"):
    seq: int
    samples: list[Sample]


class Hello(msgspec.Struct, tag="hello"):
    device_id: str


class Update(msgspec.Struct, tag="command_update"):
    id: str
    state: str


decode = msgspec.json.Decoder(Metrics | Hello | Update).decode


class Receive:
    """Decode, acknowledge, forget."""

    links: dict[int, WebSocket]

    def __init__(self) -> None:
        self.links = {}

    def routes(self) -> list[BaseRoute]:
        return []

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None

    async def metrics(self, link: WebSocket, _machine: int, message: Metrics) -> None:
        await acknowledge(link, message.seq)

    def update(self, _message: Update) -> None:
        return None

    async def device(self, link: WebSocket) -> None:
        with contextlib.suppress(WebSocketDisconnect):  # gone while it was answered
            await self._converse(link)

    async def _converse(self, link: WebSocket) -> None:
        await link.accept(subprotocol="myrvm.v2")
        machine = 0
        while (event := await link.receive())["type"] == "websocket.receive":
            message = decode(event["text"])
            if type(message) is Metrics:
                await self.metrics(link, machine, message)
            elif type(message) is Hello:
                machine = int(message.device_id.rpartition("-")[2])
                self.links[machine] = link
                await link.send({"type": "websocket.send", "text": WELCOME})
            else:
                self.update(message)


def acknowledge(link: WebSocket, seq: int) -> Awaitable[None]:
    return link.send({"type": "websocket.send", "text": f'{{"type":"metrics_ack","seq":{seq}}}'})
