"""Pages travel compressed; nothing else does: static files are compressed at start, and a large JSON answer would hold
up the event loop. Safe beside secrets because the one a page repeats, its CSRF token, looks different every time
(`hub.web.csrf`), so that the length of a page tells nothing about it."""

from __future__ import annotations

from typing import Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

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
