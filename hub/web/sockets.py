"""`/ws/dashboard`: one browser page and the feed; how any browser's socket is refused or closed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, NamedTuple

import anyio
import msgspec
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from db.errors import StoreError
from hub.kernel.context import HubContext
from hub.kernel.feed import Picture
from hub.kernel.subscription import CutOffError, Outgoing, Subscription
from hub.links.links import Links, ask_for_live_samples
from hub.model.access import Principal, may
from hub.model.actors import row_id
from hub.model.budgets import TokenBucket
from hub.server.websocket_protocol import FRAMES, frame, packed_frames, packed_head, packed_rest
from hub.web.auth.identify import identify
from hub.web.auth.limits import OF_SNAPSHOT, ReadBudget
from hub.web.auth.origin import same_origin
from protocol.errors import CloseCode

CLOSE_WITHIN_S: Final = 2.0


class Ending(NamedTuple):
    code: int | None
    reason: str = ""


async def refuse_socket(websocket: WebSocket, status: int, why: str = "") -> None:
    await websocket.send_denial_response(PlainTextResponse(why, status))


async def close_socket(websocket: WebSocket, ending: Ending) -> None:
    if ending.code is None or websocket.application_state is WebSocketState.DISCONNECTED:
        return
    with anyio.move_on_after(CLOSE_WITHIN_S), contextlib.suppress(WebSocketDisconnect):
        await websocket.close(ending.code, ending.reason)


RECHECK_S: Final = 3.0
"""Another process's revocations are seen within this, a quarter more and the cache's 3 s (bar: 10 s); this hub's at
once."""
MAX_SOCKETS_PER_USER: Final = 20
"""The next is closed with 1013 and comes back by itself."""
TOO_MANY: Final = "too many pages of yours are open"
OF_WHAT: Final = "of: write a machine's number, 0 for a page of no machine, or leave it out for all of every machine"
LAST: Final = frame(b"", first=False, last=True)
PACKED_FROM: Final = 512
"""Bytes of a message; a shorter one is not worth the compressing."""


_Part = Callable[[], Awaitable[Ending]]


async def dashboard_socket(websocket: WebSocket) -> None:
    context: HubContext = websocket.app.state.hub
    admitted = await _admit(context, websocket)
    if isinstance(admitted, int):
        await refuse_socket(websocket, admitted)
        return
    of = websocket.query_params.get("of")
    machine = None if of is None else row_id(of)
    if of is not None and machine is None:
        await refuse_socket(websocket, 400, OF_WHAT)
        return
    await websocket.accept()
    if context.feed.count_of(admitted) >= MAX_SOCKETS_PER_USER:
        # A close, because a browser shows its page nothing of a refused upgrade.
        await close_socket(websocket, Ending(CloseCode.OVERLOADED, TOO_MANY))
        return
    subscription = context.feed.subscribe(admitted, of=machine)
    try:
        ending = await _Page(context, websocket, subscription).live()
    finally:
        context.feed.unsubscribe(subscription)
        context.watching.unwatch(subscription.number)
        ask_for_live_samples(context.watching, context.fleet, context[Links])
    await close_socket(websocket, ending)


async def _admit(context: HubContext, websocket: WebSocket) -> Principal | int:
    """The HTTP status refuses."""
    # Browsers always send an Origin, and a foreign page must not ride on our cookie. A program has neither; it shows a
    # token.
    if ("origin" in websocket.headers or "cookie" in websocket.headers) and not same_origin(
        websocket, context.settings
    ):
        return 403
    try:
        principal = await identify(context, websocket)
    except StoreError:
        return 503
    if principal is None:
        return 401
    return principal if may(principal, "feed.watch") else 403


class _Page:
    def __init__(self, context: HubContext, websocket: WebSocket, subscription: Subscription) -> None:
        self._context = context
        self._websocket = websocket
        self._subscription = subscription
        self._ending: Ending | None = None
        self._takes: dict[str, bool] | None = websocket.scope["extensions"].get(FRAMES)

    async def live(self) -> Ending:
        async with anyio.create_task_group() as tasks:
            for part in (self._read, self._write, self._guard, self._cut):
                tasks.start_soon(self._part, part, tasks.cancel_scope)
        return self._ending or Ending(None)

    async def _part(self, part: _Part, scope: anyio.CancelScope) -> None:
        try:
            ending = await part()
        except WebSocketDisconnect:
            ending = Ending(None)
        except CutOffError as cut:
            ending = Ending(cut.code, cut.reason)
        self._ending = self._ending or ending
        scope.cancel()

    async def _write(self) -> Ending:
        feed, subscription, websocket = self._context.feed, self._subscription, self._websocket
        await websocket.send_text(feed.hello(subscription))
        while True:
            outgoing = await subscription.next()
            if outgoing is None:
                await self._context[ReadBudget].take(subscription.principal.actor, OF_SNAPSHOT, math.inf)
                picture = await feed.snapshot(subscription)
                if not (subscription.held or subscription.wants_snapshot):  # else it is out of date already
                    await self._send_picture(picture)
            else:
                await self._send(outgoing)

    async def _send_picture(self, picture: Picture) -> None:
        """One message in fragments, as the socket takes them."""
        if self._takes is None:
            await self._websocket.send_text(picture.text)
        elif self._takes["packed"]:
            for part in packed_frames(picture.parts()):
                await self._send_frames(part)
        else:
            for number, part in enumerate(picture.parts()):
                await self._send_frames(frame(part, first=number == 0, last=False))
            await self._send_frames(LAST)

    async def _send_frames(self, *frames: bytes) -> None:
        await self._websocket.send({"type": "websocket.send", "frames": frames})

    async def _send(self, outgoing: Outgoing) -> None:
        shared, head = outgoing.frame, outgoing.head
        if not shared.numbered or self._takes is None:
            await self._websocket.send_text(outgoing.text)
        elif self._takes["packed"] and len(shared.body) >= PACKED_FROM:
            shared.packed = shared.packed or packed_rest(shared.body)
            await self._send_frames(packed_head(head), shared.packed)
        else:
            shared.wire = shared.wire or frame(shared.body, first=False, last=True)
            await self._send_frames(frame(head, first=True, last=False), shared.wire)

    async def _cut(self) -> Ending:
        cut = await self._subscription.cut()
        return Ending(cut.code, cut.reason)

    async def _guard(self) -> Ending:
        """Identify again: at once when the user changed, else every RECHECK_S."""
        subscription = self._subscription
        while True:
            with anyio.move_on_after(RECHECK_S * random.uniform(0.75, 1.25)):  # noqa: S311 - spreads load, keeps no secret
                await subscription.recheck.wait()
                # Let the other listeners of the commit (cached credentials) finish first.
                await asyncio.sleep(0.05)
            subscription.recheck.clear()
            try:
                principal = await identify(self._context, self._websocket)
            except StoreError:
                continue  # nothing more can be revoked in a database that is away; what was, holds the subscription
            if subscription.recheck.is_set():
                continue  # changed again while we looked
            if principal is None:
                return Ending(CloseCode.NOT_AUTHENTICATED, "signed out")
            if not may(principal, "feed.watch"):
                return Ending(CloseCode.REVOKED, "rights changed")
            known = subscription.principal
            if subscription.held or (principal.role, principal.machines) != (known.role, known.machines):
                self._context.feed.rescope(subscription, principal)
                self._context.watching.unwatch(subscription.number)

    async def _read(self) -> Ending:
        rate_limit = TokenBucket(MESSAGES_PER_S, BURST, time.monotonic())
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return Ending(None)
            text = received.get("text")
            if text is None:
                return Ending(CloseCode.UNSUPPORTED_DATA, "text only")
            message = decode(text)
            cost = SNAPSHOT_COST if isinstance(message, (AskSnapshot, Resume)) else 1.0
            if not rate_limit.take(time.monotonic(), cost):
                return Ending(CloseCode.POLICY, "too many messages")
            if message is None:
                return Ending(CloseCode.PROTOCOL_ERROR, "not understood")
            if isinstance(message, PagePing):
                await self._websocket.send_text(self._context.feed.pong(message.n))
            else:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        feed, subscription = self._context.feed, self._subscription
        if isinstance(message, Watch):
            self._watch(message)
        elif isinstance(message, AskSnapshot):
            subscription.ask_snapshot()
        elif isinstance(message, Resume):
            feed.resume(subscription)
        else:
            if isinstance(message, Pause):
                feed.pause(subscription)
            self._context.watching.unwatch(subscription.number)
            ask_for_live_samples(self._context.watching, self._context.fleet, self._context[Links])

    def _watch(self, message: Watch) -> None:
        context, principal = self._context, self._subscription.principal
        known = message.machine is None or message.machine in context.fleet.machines
        if not context.settings.live or not known or not may(principal, "metrics.read", message.machine):
            return
        rate = math.ceil(message.rate)
        context.watching.watch(
            self._subscription.number, message.machine, rate, time.monotonic(), reach=principal.machines
        )
        ask_for_live_samples(context.watching, context.fleet, context[Links])


MAX_MESSAGE_CHARACTERS: Final = 1024
MESSAGES_PER_S: Final = 10.0
BURST: Final = 40.0
SNAPSHOT_COST: Final = 10.0
"""Four full pictures at once, then one a second."""


class Watch(msgspec.Struct, tag="watch"):
    """For 30 s, live samples each `rate` seconds: of one machine, or all it may see (`machine` null)."""

    machine: int | None = None
    rate: Annotated[float, msgspec.Meta(ge=1, le=60)] = 5.0


class Unwatch(msgspec.Struct, tag="unwatch"):
    pass


class Pause(msgspec.Struct, tag="pause"):
    pass


class Resume(msgspec.Struct, tag="resume"):
    """Answered with a snapshot."""


class AskSnapshot(msgspec.Struct, tag="snapshot"):
    pass


class PagePing(msgspec.Struct, tag="ping"):
    """Answered with `pong`, the number and the hub's time."""

    n: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


Message = Watch | Unwatch | Pause | Resume | AskSnapshot | PagePing
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def decode(text: str) -> Message | None:
    """None: not a message of a page."""
    if len(text) > MAX_MESSAGE_CHARACTERS:
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
