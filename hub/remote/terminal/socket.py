"""`/ws/terminal`: a browser's view of a terminal, which outlives it."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import anyio
import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from db.errors import StoreError
from hub.kernel.context import HubContext
from hub.model.access import Principal, may
from hub.remote.machine_pages.proxy_request import address_allowed
from hub.remote.service import RemoteSessions
from hub.remote.terminal.terminal import INPUT_WINDOW, Terminal, TerminalRefusedError, Terminals
from hub.web.auth.identify import address_of, identify
from hub.web.auth.origin import same_origin
from hub.web.auth.state import AuthState
from hub.web.sockets import Ending, close_socket, refuse_socket
from protocol.errors import CloseCode

logger = logging.getLogger("myrvm.terminals")

RECHECK_S: Final = 3.0  # With a quarter more and the check itself: within 5 s (bar 58)
GREETING_S: Final = 5.0
MAX_SOCKETS_PER_USER: Final = 100
PIECE: Final = 32 * 1024


async def terminal_socket(websocket: WebSocket) -> None:
    context: HubContext = websocket.app.state.hub
    admitted = await _admit(context, websocket)
    if isinstance(admitted, int):
        await refuse_socket(websocket, admitted)
        return
    sockets = context[Terminals].sockets
    sockets[admitted.id] += 1
    try:
        await websocket.accept()
        ending = await _live(context, websocket, admitted)
    except WebSocketDisconnect:
        ending = Ending(None)
    finally:
        sockets[admitted.id] -= 1
        if not sockets[admitted.id]:
            del sockets[admitted.id]
    await close_socket(websocket, ending)


async def _admit(context: HubContext, websocket: WebSocket) -> Principal | int:
    """The HTTP status refuses: only pages with our Origin and a session's cookie."""
    if not same_origin(websocket, context.settings):
        return 403
    try:
        principal = await identify(context, websocket)
    except StoreError:
        return 503
    if principal is None or principal.via != "session" or not may(principal, "remote.start"):
        return 403
    return principal if context[Terminals].sockets[principal.id] < MAX_SOCKETS_PER_USER else 429


async def _live(context: HubContext, websocket: WebSocket, principal: Principal) -> Ending:
    greeting = None
    with anyio.move_on_after(GREETING_S):
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return Ending(None)
        greeting = first(message.get("text"))
    if greeting is None:
        return Ending(CloseCode.PROTOCOL_ERROR, "open or attach first")
    try:
        terminal, position = await _terminal(context, websocket, principal, greeting)
    except TerminalRefusedError as refused:
        await _send(websocket, type="error", code=refused.code)
        code = CloseCode.REVOKED if refused.code == "not_found" else CloseCode.NORMAL
        return Ending(code, refused.code)
    number = terminal.attach()
    try:
        return await _Viewer(context, websocket, terminal, number, position).live()
    finally:
        terminal.detach(number)


async def _terminal(
    context: HubContext, websocket: WebSocket, principal: Principal, greeting: First
) -> tuple[Terminal, int]:
    """With the byte from which to show it. Raises TerminalRefusedError."""
    terminals, address = context[Terminals], address_of(context, websocket)
    if isinstance(greeting, OpenTerminal):
        _require_address(context, terminals.session_for(principal, greeting.session).rvm_id, address)
        if context[AuthState].budgets.wait(principal, "remote.use"):
            raise TerminalRefusedError("too_many")
        return await terminals.open(principal, greeting.session, *size_of(greeting), address), 0
    terminal = terminals.find(greeting.terminal)
    if terminal is None:
        raise TerminalRefusedError("no_terminal")
    if terminal.user_id != principal.id:
        await _end_intruded(context, terminal, principal)
        raise TerminalRefusedError("not_found")
    _require_address(context, terminal.rvm_id, address)
    return terminal, max(terminal.ring.first, min(greeting.received, terminal.ring.total))


def _require_address(context: HubContext, rvm_id: int, address: str) -> None:
    """Raises TerminalRefusedError."""
    machine = context.fleet.machines.get(rvm_id)
    if machine is None or not address_allowed(machine, address):
        raise TerminalRefusedError("address_not_allowed")


async def _end_intruded(context: HubContext, terminal: Terminal, principal: Principal) -> None:
    """A terminal's id cannot be guessed: the holder's browser is in other hands."""
    logger.warning("user %d showed the terminal of user %d", principal.id, terminal.user_id)
    terminal.end("intruder")
    try:
        await context[RemoteSessions].intruder(terminal.session_id, principal.id)
    except StoreError as error:
        logger.warning("session %d could not be ended for an intruder: %s", terminal.session_id, error)


async def _send(websocket: WebSocket, **members: Any) -> None:
    await websocket.send_text(msgspec.json.encode(members).decode())


class _Viewer:
    def __init__(
        self, context: HubContext, websocket: WebSocket, terminal: Terminal, number: int, position: int
    ) -> None:
        self._context = context
        self._websocket = websocket
        self._terminal = terminal
        self._number = number
        self._position = position
        self._confirms = False  # The page has acknowledged output; until it does, sent counts as received
        self._ending: Ending | None = None

    async def live(self) -> Ending:
        terminal, info = self._terminal, self._terminal.stream.info
        terminal.ring.take(self._position)
        await _send(
            self._websocket, type="ready", terminal=terminal.id, recorded=True,
            input_recorded=terminal.recording.row.input_recorded, user=str(info.get("user", "")),
            command=str(info.get("command", "")), typed=terminal.typed, passed=terminal.passed_on,
            max_bytes=MAX_BYTES, window=INPUT_WINDOW, **{"from": self._position},
        )  # fmt: skip
        async with anyio.create_task_group() as tasks:
            for part in (self._read, self._write, self._acknowledge, self._guard):
                tasks.start_soon(self._part, part, tasks.cancel_scope)
        return self._ending or Ending(None)

    async def _part(self, part: Callable[[], Awaitable[Ending]], scope: anyio.CancelScope) -> None:
        try:
            ending = await part()
        except WebSocketDisconnect:
            ending = Ending(None)
        self._ending = self._ending or ending
        scope.cancel()

    async def _write(self) -> Ending:
        terminal, ring = self._terminal, self._terminal.ring
        while terminal.is_viewer(self._number):
            data = ring.since(self._position, PIECE)
            if data:
                self._position = max(self._position, ring.first) + len(data)
                await self._websocket.send_bytes(data)
                if not self._confirms and terminal.is_viewer(self._number):
                    ring.take(self._position)
            elif terminal.over.is_set():
                exit_code = {} if terminal.exit_code is None else {"exit": terminal.exit_code}
                await _send(self._websocket, type="ended", code=terminal.ending, **exit_code)
                return Ending(CloseCode.NORMAL, str(terminal.ending))
            else:
                await ring.moved()
        await _send(self._websocket, type="ended", code="replaced")
        return Ending(CloseCode.REPLACED, "the terminal is shown elsewhere")

    async def _acknowledge(self) -> Ending:
        terminal, sent = self._terminal, self._terminal.passed_on
        while True:
            if terminal.passed_on > sent:
                sent = terminal.passed_on
                await _send(self._websocket, type="passed", bytes=sent)
            else:
                await terminal.input_moved()

    async def _read(self) -> Ending:
        terminal = self._terminal
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return Ending(None)
            if not terminal.is_viewer(self._number):
                await anyio.sleep_forever()  # the writer ends this
            typed = message.get("bytes")
            if typed is not None:
                if len(typed) > MAX_BYTES:
                    return Ending(CloseCode.TOO_BIG, f"at most {MAX_BYTES} bytes a frame")
                await terminal.type(typed, self._number)
                continue
            parsed = later(message.get("text") or "")
            if parsed is None:
                return Ending(CloseCode.PROTOCOL_ERROR, "not understood")
            if isinstance(parsed, PingTerminal):
                await _send(self._websocket, type="pong", n=parsed.n)
            else:
                self._handle(parsed)

    def _handle(self, message: ResizeTerminal | ReceivedOutput | CloseTerminal) -> None:
        terminal = self._terminal
        if isinstance(message, ResizeTerminal):
            terminal.resize(*size_of(message))
        elif isinstance(message, CloseTerminal):
            terminal.end("closed")
        else:
            self._confirms = True
            terminal.ring.take(max(terminal.ring.taken, min(message.bytes, self._position)))

    async def _guard(self) -> Ending:
        """Lost rights end the terminal, not only its view."""
        while True:
            await anyio.sleep(RECHECK_S * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load, keeps no secret
            try:
                principal = await identify(self._context, self._websocket)
            except StoreError:
                continue  # nothing more can be revoked in a database that is away
            if principal is None:
                self._terminal.end("revoked")
                return Ending(CloseCode.NOT_AUTHENTICATED, "signed out")
            if principal.id != self._terminal.user_id or not may(principal, "remote.start", self._terminal.rvm_id):
                self._terminal.end("revoked")
                return Ending(CloseCode.REVOKED, "rights changed")


MAX_CHARACTERS: Final = 512
MAX_BYTES: Final = 32 * 1024  # Of one frame of input; sent to the page in `ready`, with the input window

MAX_SIDE: Final = 1000  # Columns, rows: other sizes become the nearest one (`size_of`), and are not refused

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class OpenTerminal(msgspec.Struct, tag="open"):
    session: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    cols: Count
    rows: Count


class AttachTerminal(msgspec.Struct, tag="attach"):
    terminal: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    received: Count = 0


class ResizeTerminal(msgspec.Struct, tag="resize"):
    cols: Count
    rows: Count


class ReceivedOutput(msgspec.Struct, tag="received"):
    bytes: Count


class CloseTerminal(msgspec.Struct, tag="close"):
    pass


class PingTerminal(msgspec.Struct, tag="ping"):
    n: Count


def size_of(asked: OpenTerminal | ResizeTerminal) -> tuple[int, int]:
    """A hidden page has none, which is no error."""
    return min(max(asked.cols, 1), MAX_SIDE), min(max(asked.rows, 1), MAX_SIDE)


First = OpenTerminal | AttachTerminal
Later = ResizeTerminal | ReceivedOutput | CloseTerminal | PingTerminal
_first: msgspec.json.Decoder[First] = msgspec.json.Decoder(First)
_later: msgspec.json.Decoder[Later] = msgspec.json.Decoder(Later)


def first(text: str | None) -> First | None:
    try:
        return _first.decode(text) if text is not None and len(text) <= MAX_CHARACTERS else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def later(text: str) -> Later | None:
    try:
        return _later.decode(text) if len(text) <= MAX_CHARACTERS else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
