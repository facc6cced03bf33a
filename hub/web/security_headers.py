"""Headers that every HTTP answer carries, whatever made it. Pure ASGI; WebSockets pass through untouched."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# plotly.js sets style attributes; nothing else is let in from anywhere, and no script is inline.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "manifest-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
_ALWAYS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
MACHINE_PAGES: Final = "/remote/"
"""Pages of machines bring their own set (hub.web.machine_pages), of which some of these would be the undoing: no page
without an origin may have an opener policy, and what it loads is not of its origin."""
_NOT_STORED: Final = (b"cache-control", b"no-store")
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """Adds what an answer does not set itself. `secure`: browsers reach us by HTTPS only. `forms_to`: where forms of
    our pages may lead beside ourselves."""

    def __init__(self, app: ASGIApp, *, secure: bool, forms_to: str = "") -> None:
        self.app = app
        always = _with_forms_to(forms_to) if forms_to else _ALWAYS
        self._headers = (*always, _NOT_STORED, _HSTS) if secure else (*always, _NOT_STORED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(MACHINE_PAGES):
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", []))
                present = {name.lower() for name, _ in own}
                message["headers"] = own + [pair for pair in self._headers if pair[0] not in present]
            await send(message)

        await self.app(scope, receive, with_headers)


def _with_forms_to(source: str) -> tuple[tuple[bytes, bytes], ...]:
    policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", f"form-action 'self' {source}")
    return tuple((name, policy.encode() if name == b"content-security-policy" else value) for name, value in _ALWAYS)
