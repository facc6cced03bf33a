"""Bridges a WebSocket of a machine's page to the machine's server; messages pass whole, bounded in size."""

from __future__ import annotations

from typing import Final

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI

from hub.remote.machine_pages.headers import host_of
from hub.remote.machine_pages.proxy_request import PageRefused, ProxyRequest
from hub.remote.tunnel.tunnel import MachineStream, TunnelError
from hub.server.websocket_protocol import MAX_SIZE
from hub.web.sockets import Ending, close_socket

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024  # Of one message of the machine; a camera's picture has a tenth of it
MAX_BROWSER_MESSAGE_BYTES: Final = 1024 * 1024  # Of one message of the page; a longer one closes the socket with 1009
SLICE: Final = 512  # Bytes that are parsed before the frames in them are counted: 256 empty ones
SLICES: Final = 16
MAX_FRAMES: Final = 64  # In one turn
SENT_S: Final = 0.0001  # Of a message on its way to the browser
FLUSHED: Final = 64 * 1024  # Bytes that are handed to the stream at once
HANDSHAKE_TIMEOUT_S: Final = 20.0
GOING_AWAY: Final = 1001
BAD_GATEWAY: Final = 1014


async def bridge(proxied: ProxyRequest, websocket: WebSocket) -> None:
    stream = await proxied.connect()
    try:
        machine = _MachineSocket(proxied, stream, websocket.scope.get("subprotocols", []))
        await machine.shake_hands(websocket.headers.get("user-agent"))
        await websocket.receive()  # that it wants to connect
        accepted = {"type": "websocket.accept", "subprotocol": machine.subprotocol}
        await websocket.send(accepted | {MAX_SIZE: MAX_BROWSER_MESSAGE_BYTES})
        await _Bridge(machine, websocket).live()
    except TunnelError as ended:
        raise PageRefused(ended.code) from ended
    finally:
        stream.reset("done")


class _MachineSocket:
    def __init__(self, proxied: ProxyRequest, stream: MachineStream, offered: list[str]) -> None:
        path, _, query = proxied.target.decode("latin-1").partition("?")
        self._request = proxied
        self._stream = stream
        self._sending = anyio.Lock()
        self._unparsed = b""  # Bound: what a stream gives at once
        # Bound: MAX_MESSAGE_BYTES, beyond it the socket is closed.
        self._parts = bytearray()  # Of one message; joined, as empty fragments may come for ever
        self._text = False
        self._protocol = ClientProtocol(
            WebSocketURI(False, "127.0.0.1", proxied.port, path, query),
            origin=Origin(f"http://{host_of(proxied.port).decode()}"),
            subprotocols=[Subprotocol(name) for name in offered] or None,
            max_size=MAX_MESSAGE_BYTES,
        )

    @property
    def subprotocol(self) -> str | None:
        return self._protocol.subprotocol

    @property
    def ending(self) -> tuple[int, str]:
        closed = self._protocol.close_rcvd
        if closed is None:
            return BAD_GATEWAY, ""
        return (1000, "") if closed.code == 1005 else (closed.code, closed.reason)

    async def shake_hands(self, agent: str | None) -> None:
        request = self._protocol.connect()
        more = {
            "Cookie": self._request.jar.header().decode("latin-1"),
            "Authorization": self._request.authorization.decode("latin-1"),
        }
        request.headers = Headers([*request.headers.raw_items(), *((n, v) for n, v in more.items() if v)])
        if agent:
            request.headers["User-Agent"] = agent
        self._protocol.send_request(request)
        try:
            with anyio.fail_after(HANDSHAKE_TIMEOUT_S):
                await self._flush()
                while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
                    self._unparsed = self._unparsed or await self._stream.receive()
                    self._take()
        except TimeoutError as slow:
            raise PageRefused("timeout") from slow
        if self._protocol.handshake_exc is not None:
            raise PageRefused("not_http") from self._protocol.handshake_exc

    async def send(self, message: str | bytes) -> None:
        if self._protocol.state is not State.OPEN:
            return
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        await self._flush()

    async def close(self, code: int) -> None:
        if self._protocol.state is State.OPEN:
            try:
                self._protocol.send_close(code)
            except ProtocolError:  # a code that browsers report and nobody sends
                self._protocol.send_close()
            await self._flush()

    async def messages(self) -> list[str | bytes] | None:
        """Whole, in order; None: closed or broken off."""
        while True:
            messages = await self._request.turns.run(self._messages)
            await self._flush()
            if messages:
                self._request.turns.charge(len(messages) * SENT_S)
                return messages
            if self._protocol.state is not State.OPEN or self._protocol.parser_exc is not None:
                return None
            if not self._unparsed:
                self._unparsed = await self._stream.receive()
                if not self._unparsed:
                    self._take()

    def _messages(self) -> list[str | bytes]:
        """Of the next few kilobytes. In a turn."""
        found, frames = [], 0
        for _ in range(SLICES):
            if self._unparsed:
                self._take()
            events = self._protocol.events_received()
            frames += len(events)
            found += [message for event in events if (message := self._whole(event))]
            if not self._unparsed or frames >= MAX_FRAMES:
                break
        return [message for (message,) in found]

    def _whole(self, event: object) -> tuple[str | bytes] | None:
        if isinstance(event, Response) or not isinstance(event, Frame):
            return None
        if event.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._text, self._parts = event.opcode is Opcode.TEXT, bytearray(event.data)
        elif event.opcode is Opcode.CONT:
            self._parts += event.data
        else:
            return None
        if not event.fin:
            return None
        data, self._parts = bytes(self._parts), bytearray()
        return (data.decode(errors="replace") if self._text else data,)

    def _take(self) -> None:
        """Parse a slice of what came in; when that is empty, the end of the stream."""
        data, self._unparsed = self._unparsed[:SLICE], self._unparsed[SLICE:]
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()

    async def _flush(self) -> None:
        async with self._sending:  # one frame after the other
            for data in self._protocol.data_to_send():
                for at in range(0, len(data), FLUSHED):
                    await self._stream.send(data[at : at + FLUSHED])


class _Bridge:
    """Whichever direction ends first ends the other."""

    def __init__(self, machine: _MachineSocket, websocket: WebSocket) -> None:
        self._machine = machine
        self._websocket = websocket
        self._ending = Ending(None)

    async def live(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._down, tasks.cancel_scope)
            tasks.start_soon(self._up, tasks.cancel_scope)
        await close_socket(self._websocket, self._ending)

    async def _down(self, scope: anyio.CancelScope) -> None:
        try:
            while (messages := await self._machine.messages()) is not None:
                for message in messages:
                    if isinstance(message, str):
                        await self._websocket.send_text(message)
                    else:
                        await self._websocket.send_bytes(message)
            self._ending = Ending(*self._machine.ending)
        except TunnelError as over:
            self._ending = Ending(GOING_AWAY, over.code[:100])
        except WebSocketDisconnect:
            pass
        scope.cancel()

    async def _up(self, scope: anyio.CancelScope) -> None:
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    await self._machine.close(message.get("code") or 1000)
                    break
                text = message.get("text")
                await self._machine.send(message["bytes"] if text is None else text)
        except TunnelError:
            return  # the reader of the machine gets it too
        scope.cancel()
