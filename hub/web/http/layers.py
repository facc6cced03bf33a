"""Layers around every route: the largest body, compressed pages, security headers. WebSockets pass untouched.
Machines' pages stand on the same address below `/remote/`, so the content policy names paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 1024 * 1024
STREAMED: Final = re.compile(
    r"/remote/.|/api/v2/rvms/[^/]+/(remote-access/files/upload|backup/upload|backups/[^/]+/parts/[^/]+)\Z"
)
"""Bounded by the route, as they stream on."""


class BodyLimit:
    """413 beyond `limit` bytes; the rest is not read, the connection closes."""

    def __init__(self, app: ASGIApp, *, limit: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.limit = limit
        self._sentence = f"A request may carry {limit} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or STREAMED.match(scope["path"]):
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > self.limit:
            problem = {"success": False, "message": self._sentence, "type": "about:blank", "title": "Content Too Large",
                       "status": 413, "detail": self._sentence}  # fmt: skip
            media_type = "application/problem+json"
            await JSONResponse(problem, 413, {"Connection": "close"}, media_type)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.limit:
                    raise HTTPException(413, self._sentence, headers={"Connection": "close"})
            return message

        await self.app(scope, counted, send)


LEAST_BYTES: Final = 1000
LEVEL: Final = 5
_NOT_PAGES: Final = ("/api/", "/static/", "/remote/")


class PageCompression:
    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressing = GZipMiddleware(app, minimum_size=LEAST_BYTES, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = scope["type"] == "http" and not scope["path"].startswith(_NOT_PAGES)
        await (self._compressing if page else self._plain)(scope, receive, send)


FILES: Final = "/static/"
CALLED: Final = (
    "/api/", "/events/", "/jobs/", "/machines/", "/preferences", "/admin/settings", "/admin/settings/", "/admin/users/",
    "/admin/system/", "/admin/enrol/", "/alerts/", "/map/",
)  # fmt: skip
MACHINES_OWN: Final = "myrvm.machines_own"
"""Of `http.response.start`: a machine's page, with its own set."""
_POWERS: Final = "geolocation=(), microphone=(), payment=(), usb=()"
CAMERA_HERE: Final = {"Permissions-Policy": f"camera=(self), {_POWERS}"}
"""Of the one page that reads a label with the camera."""
_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", f"camera=(), {_POWERS}".encode()),
    (b"cache-control", b"no-store"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?\Z")
"""May be repeated in another header."""


class SecurityHeaders:
    """`secure`: HTTPS only. `forms_to`: where our forms may lead. `public_url`: as browsers call us, unless a proxy
    says. `base_path`: below which they do. `images_of`: of a page, another host whose images it shows."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        secure: bool,
        forms_to: str = "",
        public_url: str | None = None,
        base_path: str = "",
        images_of: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self._headers = (*_ALWAYS, _HSTS) if secure else _ALWAYS
        self._forms_to = forms_to
        self._base_path = base_path
        self._images_of = images_of
        self._known = [urlsplit(public_url).netloc] if public_url else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and MACHINES_OWN not in message:
                own = list(message.get("headers", []))
                present = {name.lower() for name, _ in own}
                ours = ((b"content-security-policy", self._policy(scope)), *self._headers)
                message["headers"] = own + [pair for pair in ours if pair[0] not in present]
            await send(message)

        await self.app(scope, receive, with_headers)

    def _policy(self, scope: Scope) -> bytes:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        images = self._images_of.get(scope["path"].removeprefix(self._base_path), "")
        return policy(tuple(dict.fromkeys([*hosts, *self._known])), self._forms_to, self._base_path, images)


@lru_cache(maxsize=64)
def policy(hosts: tuple[str, ...], forms_to: str = "", base_path: str = "", images: str = "") -> bytes:
    """It cannot name an IPv6 address: then it is everything of ours."""
    named = hosts if all(map(HOST.match, hosts)) else ()

    def below(*paths: str) -> str:
        return " ".join(f"{host}{base_path}{path}" for host in named for path in paths) or "'self'"

    sockets = " ".join(f"{scheme}://{host}{base_path}/ws/" for host in named for scheme in ("ws", "wss"))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {below(FILES)}",
            # plotly.js sets style attributes, and xterm.js adds a sheet; nothing else is let in from anywhere.
            f"style-src {below(FILES)} 'unsafe-inline'",
            f"connect-src {' '.join(filter(None, (below(FILES, *CALLED), sockets)))}",
            " ".join(filter(None, (f"img-src {below(FILES)} data: blob:", images))),
            f"font-src {below(FILES)}",
            f"manifest-src {below(FILES)}",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            " ".join(filter(None, ("form-action 'self'", forms_to))),
        )
    ).encode()


class BasePath:
    """Below a path of a site, what comes loses the path here, and the hub's routes know their own addresses alone. A
    hub at the root has no such layer. A proxy may pass the path on, or take it away itself."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        base_path = self._base_path
        if scope["type"] in ("http", "websocket"):
            path: str = scope["path"]
            if path == base_path and scope["type"] == "http":
                query = scope["query_string"].decode("latin-1")
                await RedirectResponse(f"{base_path}/?{query}".removesuffix("?"), 308)(scope, receive, send)
                return
            if path.startswith(f"{base_path}/"):
                scope = {**scope, "path": path.removeprefix(base_path)}
                if scope.get("raw_path"):
                    scope["raw_path"] = scope["raw_path"].removeprefix(base_path.encode())
        await self._app(scope, receive, send)


_LEADING: Final = (("location", ""), ("link", "<"))
"""Headers that hold an address, and what stands before it."""


def outward(response: Response, base_path: str) -> Response:
    """Addresses in its headers, as browsers have them. Twice is once: no address of the hub's begins with the path
    (`hub.settings.OWN_PLACES`)."""
    if base_path:
        for name, mark in _LEADING:
            held = response.headers.get(name, "")
            if held.startswith(f"{mark}/") and not held.startswith((f"{mark}//", f"{mark}{base_path}/")):
                response.headers[name] = f"{mark}{base_path}{held.removeprefix(mark)}"
    return response
