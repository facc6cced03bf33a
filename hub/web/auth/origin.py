"""Where a request comes from: the client's address, the page's origin, and the CSRF token of a change.

A proxy's headers count only when the socket's peer is a configured proxy. A change by cookie needs our Origin and a
token derived from the session's secret, masked anew on each page (BREACH)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.http.problems import Problem, Text
from protocol.addresses import is_within, normalise_address, parse_address

_DEFAULT_PORTS = {"http": 80, "https": 443}


def client_address(connection: HTTPConnection, proxies: Sequence[str]) -> str:
    """The nearest hop that is no proxy of ours."""
    peer = connection.client.host if connection.client else ""
    peer = normalise_address(peer) or peer
    if not is_within(peer, proxies):
        return peer
    hops = [hop.strip() for line in connection.headers.getlist("x-forwarded-for") for hop in line.split(",")]
    for hop in map(normalise_address, reversed(hops)):
        if hop is None:
            return peer
        if not is_within(hop, proxies):
            return hop
        peer = hop
    return peer


def same_origin(connection: HTTPConnection, settings: Settings) -> bool:
    """Whether the one Origin is `public_url`, else the host and port of the request."""
    origins, hosts = connection.headers.getlist("origin"), connection.headers.getlist("host")
    if len(origins) != 1 or len(hosts) != 1:
        return False
    origin = _authority(origins[0])
    if origin is None:
        return False
    if settings.public_url:
        return origin == _authority(settings.public_url)
    secure = connection.scope.get("scheme", "http") in ("https", "wss")
    # Behind a proxy TLS ends there: the browser's scheme is https although ours is not, and a page that came by plain
    # HTTP under our name was made by somebody on the way.
    scheme = "https" if secure or settings.cookie_secure else "http"
    return _authority(f"{scheme}://{hosts[0]}") == origin


def sent_by(connection: HTTPConnection, settings: Settings) -> str | None:
    """The page of ours whose form it is ("/": unknown, or another's); None: it is no form."""
    if connection.scope.get("method") in SAFE_METHODS:
        return None
    ours = f"{connection.headers.get('origin')}{settings.base_path}/"
    page = connection.headers.get("referer", "")
    is_ours = page.startswith(ours) and same_origin(connection, settings)
    return f"/{page.removeprefix(ours)}" if is_ours else "/"


def origin_hint(connection: HTTPConnection, settings: Settings) -> Text | None:
    """When Origin and Host agree, and are not the hub's."""
    origins, hosts = connection.headers.getlist("origin"), connection.headers.getlist("host")
    origin = _authority(origins[0]) if len(origins) == 1 else None
    reached = _authority(f"http://{hosts[0]}") if len(hosts) == 1 else None
    if origin is None or reached is None or origin[1] != reached[1] or same_origin(connection, settings):
        return None
    if settings.public_url:
        return Text("csrf_elsewhere", {"url": settings.public_address})
    return Text("csrf_host", {"origin": origins[0], "host": hosts[0]})


def is_under_foreign_name(connection: HTTPConnection, settings: Settings) -> bool:
    """By a name that is not `public_url`'s (DNS rebinding). Addresses, names without a dot and our proxies may use
    any."""
    if not settings.public_url or (connection.client and is_within(connection.client.host, settings.behind_proxy)):
        return False
    own, reached = _authority(settings.public_url), _authority(f"http://{connection.headers.get('host', '')}")
    if own is None or reached is None:
        return reached is None
    name = reached[1].rstrip(".")
    return not (name == own[1] or "." not in name or name.endswith(".localhost") or parse_address(name) is not None)


def _authority(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname.lower(), port or _DEFAULT_PORTS[parts.scheme]


CSRF_HEADER: Final = "x-csrf-token"
_PROOF_BYTES: Final = hashlib.sha256().digest_size
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def new_csrf_token(session_text: str) -> str:
    """Mask, then masked proof, in hexadecimal; for X-CSRF-Token or the form field `csrf_token`."""
    mask = secrets.token_bytes(_PROOF_BYTES)
    return (mask + _xor(mask, _proof(session_text))).hex()


def is_proven(connection: HTTPConnection, session_text: str, settings: Settings, field: str | None = None) -> bool:
    """Whether the cookie `session_text` may make this change; `field`: a form's token."""
    presented = connection.headers.get(CSRF_HEADER) or field or ""
    return _proves(presented, session_text) and same_origin(connection, settings)


def csrf_refusal(connection: HTTPConnection, settings: Settings) -> Problem:
    return Problem("forbidden", origin_hint(connection, settings) or Text("csrf"))


def _proves(presented: str, session_text: str) -> bool:
    try:
        token = bytes.fromhex(presented)
    except ValueError:
        return False
    mask, masked = token[:_PROOF_BYTES], token[_PROOF_BYTES:]
    return len(masked) == _PROOF_BYTES and hmac.compare_digest(_xor(mask, masked), _proof(session_text))


def _proof(session_text: str) -> bytes:
    return hmac.new(session_text.encode(), b"myrvm csrf 1", hashlib.sha256).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
