"""One request of a browser to a machine's page and the answer back, both as they stream: a camera shows live, an upload
of any size passes, nothing is collected.

The answer may come before the request is whole. A browser that goes away ends the connection on the machine at once.
"""

from __future__ import annotations

from typing import Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from hub.flow.tunnel_error import TunnelError
from hub.web.machine_pages import cookies, headers, rewriting
from hub.web.machine_pages.http_exchange import Head, HttpExchange
from hub.web.machine_pages.refusal import Refusal
from hub.web.machine_pages.terms import Terms

HEADER_TIMEOUT_S: Final = 60.0
"""From the request's last byte to the answer's header. A page that thinks longer is hung."""
LIVE: Final = ("multipart/x-mixed-replace", "text/event-stream")
"""Kinds that have no end of their own: the lease's end is a proper one for them."""
NO_REWRITING: Final = frozenset({204, 206, 304})
SHIM: Final = "/.rvm/same_path.js"


async def forward(terms: Terms, scope: Scope, receive: Receive, send: Send) -> None:
    """Raises Refusal as long as nothing was answered. An answer that breaks off later is left incomplete, so that the
    browser sees that it is."""
    stream = await terms.connect()
    try:
        await _Forwarding(terms, HttpExchange(stream), receive, send).run(scope["method"], scope["headers"])
    finally:
        stream.reset("done")


class _Forwarding:
    def __init__(self, terms: Terms, exchange: HttpExchange, receive: Receive, send: Send) -> None:
        self._terms = terms
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._patience = anyio.CancelScope()
        self._failure: Refusal | None = None
        self._started = False

    async def run(self, method: str, given: headers.Headers) -> None:
        terms = self._terms
        asked = headers.for_machine(
            given, terms.port, cookie=terms.cookie, authorization=terms.authorization, plain=bool(terms.prefix)
        )
        try:
            await self._exchange.begin(method, terms.target, asked)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._upload, tasks.cancel_scope)
                await self._answer()
                tasks.cancel_scope.cancel()
        except TunnelError as ended:
            self._failure = Refusal(ended.code)
        if self._failure is not None and not self._started:
            raise self._failure

    async def _upload(self, scope: anyio.CancelScope) -> None:
        """The request's body; then wait whether the browser goes away."""
        try:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    scope.cancel()
                    return
                if message.get("body"):
                    await self._exchange.say(message["body"])
                if not message.get("more_body", False):
                    break
            await self._exchange.end()
            self._patience.deadline = anyio.current_time() + HEADER_TIMEOUT_S
            while (await self._receive())["type"] != "http.disconnect":
                pass
            scope.cancel()
        except ClientDisconnect:
            scope.cancel()
        except Refusal as wrong:
            self._failure = wrong
            scope.cancel()
        except TunnelError:
            pass  # whoever reads the answer is told too

    async def _answer(self) -> None:
        live = False
        try:
            with self._patience:
                head = await self._exchange.head()
            if self._patience.cancelled_caught:
                self._failure = Refusal("timeout")
            else:
                live = _kind(head).startswith(LIVE)
                await self._pass_on(head)
        except TunnelError as ended:
            self._failure = Refusal(ended.code)
        except Refusal as broken:
            self._failure = broken
        if self._failure is not None and self._started and live:
            await self._send({"type": "http.response.body", "body": b""})

    async def _pass_on(self, head: Head) -> None:
        rewriter = None if head.status in NO_REWRITING else self._rewriter(head)
        found = headers.for_browser(head.headers, whole=rewriter is None) + self._placed(head) + self._terms.ours
        start: Message = {"type": "http.response.start", "status": head.status, "headers": found}
        await self._send(start)
        self._started = True
        while (data := await self._exchange.data()) is not None:
            part = data if rewriter is None else rewriter.feed(data)
            if part:
                await self._send({"type": "http.response.body", "body": part, "more_body": True})
        await self._send({"type": "http.response.body", "body": b"" if rewriter is None else rewriter.end()})

    def _rewriter(self, head: Head) -> rewriting.Rewriter | None:
        terms = self._terms
        encoded = any(name == b"content-encoding" and value.lower() != b"identity" for name, value in head.headers)
        if not terms.prefix or encoded:
            return None
        shim = f'<script src="{terms.prefix}{SHIM}" data-port="{terms.port}"></script>'.encode()
        return rewriting.rewriter_for(_kind(head), terms.prefix, terms.port, shim)

    def _placed(self, head: Head) -> headers.Headers:
        """What needs more than to be let through: where a redirect leads, and cookies."""
        terms, found = self._terms, []
        for name, value in head.headers:
            text = value.decode("latin-1")
            if name == b"location":
                leads = headers.leads_to(text, terms.port)
                if leads is None:
                    raise Refusal("elsewhere")
                below = leads.startswith("/") and not leads.startswith(f"{terms.prefix}/")
                found.append((b"location", (terms.prefix + leads if below else leads).encode("latin-1")))
            elif name == b"set-cookie" and terms.jar is not None:
                terms.jar.take(text, terms.clock())
            elif name == b"set-cookie" and (kept := cookies.for_own_host(text, secure=terms.secure)) is not None:
                found.append((b"set-cookie", kept.encode("latin-1")))
            elif name == b"www-authenticate" and terms.jar is None:
                found.append((name, value))
        return found


def _kind(head: Head) -> str:
    return next((v.decode("latin-1").strip().lower() for n, v in head.headers if n == b"content-type"), "")
