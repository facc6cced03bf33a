"""The leanest MQTT 3.1.1 client there can be, QoS 1 only, as a raw asyncio protocol: kind to the broker it measures."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

_CONNACK: Final = 0x20
_PUBLISH: Final = 0x30
_PUBACK: Final = 0x40
_SUBACK: Final = 0x90
_QOS1: Final = 0x02
KEEPALIVE_S: Final = 3600
"""Longer than any run: nobody pings."""


def packet(kind: int, body: bytes) -> bytes:
    head, size = bytes([kind]), len(body)
    while True:
        size, digit = size >> 7, size & 0x7F
        head += bytes([digit | 0x80 if size else digit])
        if not size:
            return head + body


def text(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def take_packets(buffer: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole packets in `buffer` as (first byte, body), and what is left of it."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while True:
        size = shift = 0
        place = at + 1
        while place < len(buffer):
            size |= (buffer[place] & 0x7F) << shift
            shift += 7
            place += 1
            if not buffer[place - 1] & 0x80:
                break
        else:
            return found, buffer[at:]
        if place + size > len(buffer):
            return found, buffer[at:]
        found.append((buffer[at], buffer[place : place + size]))
        at = place + size


class MqttLink(asyncio.Protocol):
    """`ready` is done at CONNACK and again, as a new future, at each SUBACK. `on_message` gets (topic, payload)."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._buffer = b""
        self._number = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refused = ""
        self.on_message: Callable[[bytes, bytes], None] = _nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        clean_session = 0x02
        head = text(b"MQTT") + bytes([4, clean_session]) + struct.pack("!H", KEEPALIVE_S)
        self.transport.write(packet(0x10, head + text(self._name)))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.refused = self.refused or "the broker closed the connection"
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.refused))

    async def subscribe(self, topic: bytes) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.transport.write(packet(0x82, self._next() + text(topic) + b"\x01"))
        await self.ready

    def publish(self, topic: bytes, payload: bytes) -> None:
        self.transport.write(packet(_PUBLISH | _QOS1, text(topic) + self._next() + payload))

    def data_received(self, data: bytes) -> None:
        found, self._buffer = take_packets(self._buffer + data)
        for first, body in found:
            kind = first & 0xF0
            if kind == _PUBLISH:
                self._published(first, body)
            elif kind == _CONNACK and body[1]:
                self.refused = f"refused with code {body[1]}"
                self.transport.close()
            elif kind in (_CONNACK, _SUBACK) and not self.ready.done():
                self.ready.set_result(None)

    def close(self) -> None:
        self.transport.abort()

    def _published(self, first: int, body: bytes) -> None:
        size = struct.unpack_from("!H", body)[0]
        topic, rest = body[2 : 2 + size], body[2 + size :]
        if first & _QOS1:
            self.transport.write(packet(_PUBACK, rest[:2]))
            rest = rest[2:]
        self.on_message(topic, rest)

    def _next(self) -> bytes:
        self._number = self._number % 65_535 + 1
        return struct.pack("!H", self._number)


def _nothing(_: bytes, __: bytes) -> None:
    return None
