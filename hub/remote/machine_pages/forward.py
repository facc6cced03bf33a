"""Proxies a browser's request to a machine's page, and the answer back, streaming. A browser that leaves ends the
machine's connection at once."""

from __future__ import annotations

from typing import Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from hub.remote.machine_pages import headers, rewriting
from hub.remote.machine_pages.http_exchange import PIECE, Head, HttpExchange
from hub.remote.machine_pages.proxy_request import PageRefused, ProxyRequest
from hub.remote.machine_pages.rewriting import PACKED, Unpacking
from hub.remote.tunnel.tunnel import TunnelError
from hub.web.http.layers import MACHINES_OWN

HEADER_TIMEOUT_S: Final = 60.0  # From the request's last byte to the answer's header
LIVE: Final = ("multipart/x-mixed-replace", "text/event-stream")
"""Endless kinds: the session's end is a regular end of these."""
REWRITTEN: Final = 8 * 1024  # Bytes of a page that are rewritten in one turn: two milliseconds of the worst
NO_REWRITING: Final = frozenset({204, 206, 304})


async def forward(request: ProxyRequest, scope: Scope, receive: Receive, send: Send) -> None:
    """Raises PageRefused, before anything was answered."""
    stream = await request.connect()
    try:
        await _Forwarding(request, HttpExchange(stream, request.turns), receive, send).run(
            scope["method"], scope["headers"]
        )
    finally:
        stream.reset("done")


class _Forwarding:
    def __init__(self, request: ProxyRequest, exchange: HttpExchange, receive: Receive, send: Send) -> None:
        self._request = request
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._header_limit = anyio.CancelScope()
        self._failure: PageRefused | None = None
        self._started = False
        self._document = True

    async def run(self, method: str, given: headers.Headers) -> None:
        request, self._document = self._request, headers.wants_document(given)
        asked = headers.for_machine(
            given,
            request.port,
            cookie=request.jar.header(),
            authorization=request.authorization,
            plain=bool(request.prefix),
        )
        try:
            await self._exchange.begin(method, request.target, asked)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._upload, tasks.cancel_scope)
                await self._answer()
                tasks.cancel_scope.cancel()
        except TunnelError as ended:
            self._failure = PageRefused(ended.code)
        if self._failure is not None and not self._started:
            raise self._failure

    async def _upload(self, scope: anyio.CancelScope) -> None:
        try:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    scope.cancel()
                    return
                if message.get("body"):
                    await self._exchange.send_body(message["body"])
                if not message.get("more_body", False):
                    break
            await self._exchange.end()
            self._header_limit.deadline = anyio.current_time() + HEADER_TIMEOUT_S
            while (await self._receive())["type"] != "http.disconnect":
                pass
            scope.cancel()
        except ClientDisconnect:
            scope.cancel()
        except PageRefused as wrong:
            self._failure = wrong
            scope.cancel()
        except TunnelError:
            pass  # the reader of the answer gets it too

    async def _answer(self) -> None:
        live = False
        try:
            with self._header_limit:
                head = await self._exchange.head()
            if self._header_limit.cancelled_caught:
                self._failure = PageRefused("timeout")
            else:
                live = _kind(head).startswith(LIVE)
                await self._pass_on(head)
        except TunnelError as ended:
            self._failure = PageRefused(ended.code)
        except PageRefused as broken:
            self._failure = broken
        if self._failure is not None and self._started and live:
            await self._send({"type": "http.response.body", "body": b""})

    async def _pass_on(self, head: Head) -> None:
        placed = self._placed(head)
        body = self._body(head)
        shown = headers.for_browser(head.headers, whole=body.whole) + placed
        found = (headers.readable(shown) if self._request.prefix else shown) + self._request.ours
        start: Message = {"type": "http.response.start", "status": head.status, "headers": found, MACHINES_OWN: True}
        await self._send(start)
        self._started = True
        ended = False
        while not ended:
            part, ended = await self._request.turns.run(body.part)
            if part and not ended:
                await self._send({"type": "http.response.body", "body": part, "more_body": True})
            elif not ended:
                await self._exchange.receive_more()
        await self._send({"type": "http.response.body", "body": part})

    def _body(self, head: Head) -> _Body:
        request, kind = self._request, _kind(head)
        if not request.prefix or head.status in NO_REWRITING:
            return _Body(self._exchange)
        page = rewriting.for_page(request.prefix, request.port, request.jar.shown()) if self._document else b""
        rewriter = rewriting.rewriter_for(kind, request.prefix, request.port, page)
        encoding = b", ".join(value for name, value in head.headers if name == b"content-encoding").strip().lower()
        if rewriter is None or encoding in (b"", b"identity"):
            return _Body(self._exchange, rewriter)
        if encoding not in PACKED:
            raise PageRefused("encoded")
        return _Body(self._exchange, rewriter, Unpacking())

    def _placed(self, head: Head) -> headers.Headers:
        request, found = self._request, []
        for name, value in head.headers:
            text = value.decode("latin-1")
            if name == b"location":
                leads = headers.leads_to(text, request.target.decode("latin-1"), request.port)
                if leads is not None and not leads.startswith(f"{request.prefix}/"):
                    leads = request.prefix + leads
                elif leads is None and head.status in headers.REDIRECTS:
                    raise PageRefused("elsewhere")
                found.append((b"location", value if leads is None else leads.encode("latin-1")))
            elif name == b"set-cookie":
                request.jar.take(text, request.clock())
                kept = None if request.prefix else headers.cookie_for_own_host(text, secure=request.secure)
                found += [] if kept is None else [(name, kept.encode("latin-1"))]
            elif name == b"www-authenticate" and not request.prefix:
                found.append((name, value))
        return found


class _Body:
    """Unpacked and rewritten piece by piece, where needed."""

    def __init__(
        self, exchange: HttpExchange, rewriter: rewriting.Rewriter | None = None, unpacking: Unpacking | None = None
    ) -> None:
        self._exchange = exchange
        self._rewriter = rewriter
        self._unpacking = unpacking
        self._came_whole = False

    @property
    def whole(self) -> bool:
        return self._rewriter is None

    def part(self) -> tuple[bytes, bool]:
        """Whether it is the last. b"" and False: more has to come in."""
        unpacking, rewriter = self._unpacking, self._rewriter
        if unpacking is not None and unpacking.pending:
            data = unpacking.more()
        elif not self._came_whole:
            data, self._came_whole = self._exchange.part(PIECE if rewriter is None else REWRITTEN)
            data = data if unpacking is None else unpacking.feed(data)
        else:
            data = b""
        ended = self._came_whole and not (unpacking is not None and unpacking.pending)
        if ended and unpacking is not None:
            unpacking.end()
        if rewriter is None:
            return data, ended
        return rewriter.feed(data) + (rewriter.end() if ended else b""), ended


def _kind(head: Head) -> str:
    return next((v.decode("latin-1").strip().lower() for n, v in head.headers if n == b"content-type"), "")
