"""No request body is larger than we agreed to: refused by its announced length, or cut off while it arrives.

The last net under every route; the API has its own, tighter limit and says it in its own words.

Pages travel compressed; nothing else does: static files are compressed at start, and a large JSON answer would hold
up the event loop. Safe beside secrets because the one a page repeats, its CSRF token, looks different every time
(`hub.web.auth.csrf`), so that the length of a page tells nothing about it.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 1024 * 1024
STREAMED: Final = re.compile(r"/remote/.|/api/v2/rvms/[^/]+/remote-access/files/upload\Z")
"""Where a body streams on to a machine and is never held here: how much may is the machine's affair, or the route's."""


class BodyLimit:
    """413 beyond `limit` bytes; what was not read is not read, the connection closes."""

    def __init__(self, app: ASGIApp, *, limit: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or STREAMED.match(scope["path"]):
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > self.limit:
            await self._refusal()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.limit:
                    raise self._too_large()
            return message

        await self.app(scope, counted, send)

    def _sentence(self) -> str:
        return f"A request may carry {self.limit} bytes."

    def _too_large(self) -> HTTPException:
        return HTTPException(413, self._sentence(), headers={"Connection": "close"})

    def _refusal(self) -> JSONResponse:
        text = self._sentence()
        problem = {"success": False, "message": text, "type": "about:blank", "title": "Content Too Large",
                   "status": 413, "detail": text}  # fmt: skip
        return JSONResponse(problem, 413, {"Connection": "close"}, media_type="application/problem+json")


LEAST_BYTES: Final = 1000
LEVEL: Final = 5
"""Beyond it a page of 100 machines shrinks by no hundredth more."""
_NOT_PAGES: Final = ("/api/", "/static/", "/remote/")
"""What a machine's page sends streams as it comes, and is bytes of another's besides."""


class PageCompression:
    """gzip for browsers that ask for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressing = GZipMiddleware(app, minimum_size=LEAST_BYTES, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = scope["type"] == "http" and not scope["path"].startswith(_NOT_PAGES)
        await (self._compressing if page else self._plain)(scope, receive, send)
