"""One machine of a load as a raw asyncio protocol: upgrade, hello, then whatever its driver does. Light on purpose: the
load must not be what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from bench import frames
from protocol import codec
from protocol.messages import Hello
from protocol.version import PRODUCT_VERSION, PROTOCOL_VERSION, SUBPROTOCOL

_UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef").decode() + "\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: " + SUBPROTOCOL + "\r\nAuthorization: Bearer {key}\r\n\r\n"
)
_ACK: Final = b'{"type":"metrics_ack","seq":'
_WELCOME: Final = b'{"type":"welcome"'
_WHOLE_TEXT: Final = frames.FIN | frames.TEXT
_PONG: Final = frames.client_frame(b"", frames.PONG)


def hello_text(device_id: str, boot_id: str) -> str:
    return codec.encode(
        Hello(
            protocol=PROTOCOL_VERSION, device_id=device_id, agent_version=PRODUCT_VERSION, boot_id=boot_id,
            capabilities=["ping", "set_status", "simulated"], status="active", config_version=0,
            time=frames.clock_text(int(time.time())).decode() + "Z",
        )
    )  # fmt: skip


class Link(asyncio.Protocol):
    """`on_live` is called at welcome, `on_ack` with each acknowledged number, `on_text` with any other text, `on_lost`
    once when the connection is gone or was refused."""

    def __init__(self, host: str, path: str, device_id: str, key: str, boot_id: str) -> None:
        self._upgrade = _UPGRADE.format(path=path, host=host, key=key).encode()
        self._hello = frames.client_frame(hello_text(device_id, boot_id).encode()) if device_id else b""
        self._buffer = b""
        self._parts: list[bytes] = []
        self._open = False
        self.live = False
        self.refused = ""
        self.unacked: deque[tuple[int, float]] = deque()
        self.on_live: Callable[[Link], None] = _nothing
        self.on_ack: Callable[[Link, int], None] | None = None
        self.on_text: Callable[[Link, bytes], None] | None = None
        self.on_lost: Callable[[Link], None] = _nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type
        self.transport.write(self._upgrade)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.live = False
        self.on_lost(self)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._open:
            data = self._opened(data)
        found, self._buffer = frames.take_frames(data) if self._open else ([], data)
        acked = -1
        for first, payload in found:
            if payload.startswith(_ACK):
                acked = int(payload[len(_ACK) : -1])
            elif first == _WHOLE_TEXT:
                self._heard(payload)
            else:
                self._other(first, payload)
        if acked >= 0 and self.on_ack is not None:
            self.on_ack(self, acked)

    def say(self, text: bytes) -> None:
        self.transport.write(frames.client_frame(text))

    def _opened(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        if b" 101 " not in head[:20]:
            self.refused = head.partition(b"\r\n")[0].decode(errors="replace")
            self.transport.close()
            return b""
        self._open = True
        if self._hello:
            self.transport.write(self._hello)
        else:
            self.live = True
            self.on_live(self)
        return rest

    def _other(self, first: int, payload: bytes) -> None:
        """A control frame, or a fragment of a text."""
        opcode = first & 0x0F
        if opcode == frames.PING:
            self.transport.write(frames.client_frame(payload, frames.PONG) if payload else _PONG)
        elif opcode == frames.CLOSE:
            self.refused = self.refused or f"closed {int.from_bytes(payload[:2], 'big')} {payload[2:60]!r}"
            self.transport.close()
        elif opcode in (frames.TEXT, frames.CONTINUATION):
            self._parts.append(payload)
            if first & frames.FIN:
                whole, self._parts = b"".join(self._parts), []
                self._heard(whole)

    def _heard(self, payload: bytes) -> None:
        if not self.live and payload.startswith(_WELCOME):
            self.live = True
            self.on_live(self)
        elif self.on_text is not None:
            self.on_text(self, payload)
        elif payload.startswith(b'{"type":"error"'):
            self.refused = payload[:200].decode(errors="replace")


def _nothing(_: Link) -> None:
    return None
