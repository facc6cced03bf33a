"""The WebSocket connection: uvicorn's sans-I/O protocol with its traps closed.

A dead or frozen peer is torn down; unread messages, fragments and control frames are bounded; nothing is read before
the application accepted; wrong bytes end in the right close code."""

from __future__ import annotations

import asyncio
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from hub.model.budgets import TokenBucket
from hub.server.transport import BoundedProtocol

SLICE: Final = 4096
"""Then the caps are checked: 4 KiB hold 680 empty frames."""
MAX_UNREAD_BYTES: Final = 128 * 1024
MAX_UNREAD_MESSAGES: Final = 64
"""Beyond either, reading waits for the application."""
MAX_FRAGMENTS: Final = 512
"""64 KiB in fragments of 128 bytes."""
MAX_CONTROL_FRAMES_PER_S: Final = 50
CLOSE_TIMEOUT_S: Final = 5.0
FRAMES: Final = "myrvm.frames"
"""ASGI extension: this socket takes `frame`s; `packed`: also `packed_frames`."""
PACKED_PATH: Final = "/ws/dashboard"
"""Of the sockets whose messages are many and long: machines pay no memory for what they do not need."""
PACKING_LEVEL: Final = 1
CONTACT: Final = "myrvm.contact"
"""ASGI extension: the LastContact of this socket."""
MAX_SIZE: Final = "myrvm.max_size"
"""Of `websocket.accept`: this socket's limit, in bytes."""
POLICY_VIOLATION: Final = 1008
INVALID_TEXT: Final = 1007


class LastContact:
    """When the peer's last bytes came, pongs included; monotonic seconds."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = time.monotonic()


class WebSocketProtocol(BoundedProtocol, WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT_S
        self._unparsed = b""
        self._unread_bytes = 0
        self._fragments = 0
        self._contact = LastContact()
        self._controls = TokenBucket(MAX_CONTROL_FRAMES_PER_S, MAX_CONTROL_FRAMES_PER_S, self.loop.time())

    # --- life -------------------------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        self._unparsed = b""
        super().connection_lost(exc)

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()

    def keepalive_timeout(self) -> None:
        if self.read_paused:
            # We are the ones who do not read: the answer may be waiting unread, so its absence proves nothing. A peer
            # that is really gone is noticed by the kernel (TCP_USER_TIMEOUT) or as soon as we read again.
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
            return
        super().keepalive_timeout()
        self.transport.abort()

    # --- reading ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._contact.at = time.monotonic()
        if self.transport.is_closing():
            self._bounded.discard(len(data))
        elif self.read_paused:
            self._unparsed += data
        elif len(data) <= SLICE:
            self._parse(data)
        else:
            self._unparsed = data
            self._parse_unparsed()

    def _parse_unparsed(self) -> None:
        """By slices, until the application has enough to read."""
        data, self._unparsed, at = self._unparsed, b"", 0
        while at < len(data) and not self.transport.is_closing():
            if self.read_paused:
                self._unparsed = data[at:]
                return
            self._parse(data[at : at + SLICE])
            at += SLICE

    def _parse(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.handle_events()
        if not self.handshake_initiated:
            self._refuse_handshake()
        elif self.conn.parser_exc is not None and not self.close_sent:
            self.handle_parser_exception()

    def _refuse_handshake(self) -> None:
        """HTTP, but no upgrade (a wrong method, too many headers)."""
        if self.conn.handshake_exc is None:
            return
        output = b"".join(self.conn.data_to_send())
        if not output:
            output = self.conn.reject(HTTPStatus.BAD_REQUEST, "This is not a WebSocket handshake.\n").serialize()
        self.handshake_complete = True
        self.close_sent = True
        self.transport.write(output)
        self.transport.close()

    def handle_connect(self, event: Request) -> None:
        # A peer's frames before its upgrade are not read: parsing them now would answer them before the
        # handshake.
        self.read_paused = True
        self.transport.pause_reading()
        if event.path.partition("?")[0].endswith(PACKED_PATH):
            self.conn.available_extensions = [_OFFER]
        super().handle_connect(event)
        if self.conn.handshake_exc is None:
            frames = {"packed": bool(self.conn.extensions)}
            cast(dict[str, Any], self.scope["extensions"]).update({FRAMES: frames, CONTACT: self._contact})

    def handle_close(self, event: Frame) -> None:
        if self.close_sent and self.conn.close_rcvd is not None:
            # Behind the disconnect that our close was answered with at once: the peer was alive to the end.
            echo = {"type": "websocket.disconnect", "code": self.conn.close_rcvd.code, "reason": "", "answered": True}
            self.queue.put_nowait(cast(ASGIReceiveEvent, echo))
        super().handle_close(event)

    def handle_cont(self, event: Frame) -> None:
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            self._refuse(POLICY_VIOLATION, "too many fragments")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        if self._control_allowed():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._control_allowed():
            super().handle_pong(event)

    def _control_allowed(self) -> bool:
        if self._controls.take(self.loop.time()):
            return True
        self._refuse(POLICY_VIOLATION, "too many control frames")
        return False

    def _refuse(self, code: int, reason: str) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.frames = []
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        self._fragments = 0
        if self.close_sent:
            return
        message: ASGIReceiveEvent
        if self.curr_msg_data_type == "text":
            try:
                message = {"type": "websocket.receive", "text": data.decode()}
            except UnicodeDecodeError:
                self._refuse(INVALID_TEXT, "not UTF-8")
                return
        else:
            message = {"type": "websocket.receive", "bytes": bytes(data)}
        self.queue.put_nowait(message)
        self._unread_bytes += len(data)
        too_many = self._unread_bytes > MAX_UNREAD_BYTES or self.queue.qsize() >= MAX_UNREAD_MESSAGES
        if too_many and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    # --- the application's side -------------------------------------------------------------------------------------

    async def receive(self) -> ASGIReceiveEvent:
        queue = self.queue
        if self.read_paused and queue.empty() and self.handshake_complete:
            self._read_on()
            await asyncio.sleep(0)
        message = queue.get_nowait() if not queue.empty() else await queue.get()
        if queue.empty():
            self._unread_bytes = 0
        return message

    def _read_on(self) -> None:
        self.read_paused = False
        self._unread_bytes = 0
        self._parse_unparsed()
        if not self.read_paused:
            self.transport.resume_reading()

    async def send(self, message: ASGISendEvent) -> None:
        frames = cast(dict[str, Any], message).get("frames")
        if frames is not None:
            await self._send_frames(frames)
            return
        if self._over() and message["type"] in ("websocket.send", "websocket.close"):
            raise ClientDisconnected
        if message["type"] == "websocket.close":
            # A close frame does not wait behind a full buffer: it is the last, and closing has its own time limit.
            self.writable.set()
        elif message["type"] == "websocket.accept" and MAX_SIZE in message:
            self.conn.max_message_size = cast(dict[str, Any], message)[MAX_SIZE]
        await super().send(message)
        if message["type"] == "websocket.accept" and self.handshake_complete:
            self._read_on()
        elif message["type"] == "websocket.close":
            # The peer's answer to our close may stand behind what was not read yet.
            self._parse_unparsed()
        elif self.initial_response is not None and self.close_sent:
            # Refused with an answer of its own: that ends this handshake.
            self.handshake_complete = True

    def _over(self) -> bool:
        """A sender in a loop must notice an end that the application does not know."""
        return self.handshake_complete and (self.close_sent or self.transport.is_closing())

    async def _send_frames(self, frames: tuple[bytes, ...]) -> None:
        """Without a copy, once the peer has taken what was before."""
        await self.writable.wait()
        if self.disconnected or self.close_sent or not self.handshake_complete:
            raise ClientDisconnected
        for one in frames:
            self.transport.write(one)


def frame(payload: bytes, *, first: bool, last: bool) -> bytes:
    """With the extension FRAMES, `{"type": "websocket.send", "frames": (...)}` sends fragments: made once, for any
    number of sockets."""
    return Frame(Opcode.TEXT if first else Opcode.CONT, payload, fin=last).serialize(mask=False)


class _Packing(PerMessageDeflate):
    """Reads what browsers compress; what is sent goes as it is, or was compressed for any number of sockets."""

    def encode(self, frame: Frame) -> Frame:
        return frame


class _PackingOffer(ServerPerMessageDeflateFactory):
    """No memory of a connection (no_context_takeover), which is also why one compressed text fits all."""

    def process_request_params(
        self, params: Sequence[tuple[str, str | None]], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[tuple[str, str | None]], PerMessageDeflate]:
        answer, made = super().process_request_params(params, accepted_extensions)
        if made.local_max_window_bits != zlib.MAX_WBITS:
            raise NegotiationError("a smaller window than that of what all share")
        return answer, _Packing(True, True, made.remote_max_window_bits, made.local_max_window_bits)


_OFFER: Final = _PackingOffer(server_no_context_takeover=True, client_no_context_takeover=True)


def _packed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(PACKING_LEVEL, wbits=-zlib.MAX_WBITS)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)


COMPRESSED: Final = 0x40
"""RSV1, of a message's first frame."""
PACKED_END: Final = b"\x00"
"""Ends a packed message: RFC 7692 has the reader add the rest of an empty block."""


def packed_frames(parts: Iterable[bytes]) -> Iterator[bytes]:
    """One message; each part is compressed when it is asked for."""
    for number, part in enumerate(_packed(parts)):
        yield _packed_frame(part, first=number == 0, last=False)
    yield _packed_frame(PACKED_END, first=False, last=True)


def packed_head(head: bytes) -> bytes:
    """The beginning of a packed message, of one socket and as it is; `packed_rest` follows, of any number of them."""
    length = len(head)
    return _packed_frame(b"\x00" + struct.pack("<HH", length, length ^ 0xFFFF) + head, first=True, last=False)


def packed_rest(payload: bytes) -> bytes:
    return _packed_frame(b"".join(_packed([payload])) + PACKED_END, first=False, last=True)


def _packed_frame(payload: bytes, *, first: bool, last: bool) -> bytes:
    plain = frame(payload, first=first, last=last)
    return bytes([plain[0] | COMPRESSED]) + plain[1:] if first else plain
