"""Which headers pass between a browser and a machine's page, and which are ours. Pure: names and values in and out.

Lists of what may pass, not of what may not: a header nobody thought of stays outside. What the machine says about
origins, frames, storage, workers, proxies in front of us (X-Accel-Redirect) or other servers is never handed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

Headers = list[tuple[bytes, bytes]]

_TO_MACHINE: Final = frozenset(
    b"accept accept-language cache-control content-encoding content-language content-length content-type "
    b"if-match if-modified-since if-none-match if-range if-unmodified-since last-event-id pragma range "
    b"transfer-encoding user-agent x-requested-with".split()
)
_TO_BROWSER: Final = frozenset(
    b"accept-ranges age allow content-disposition content-encoding content-language content-length content-range "
    b"content-type date etag expires last-modified retry-after vary".split()
)
_OURS_TO_KEEP: Final = re.compile(rb"x-(csrf|forwarded|real|rvm|original|accel|http-method)|proxy|sec-|x-requested")
"""Headers a page of its own invention may not carry to the machine: ours, a proxy's, a browser's."""
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?\Z")

CAPABILITIES: Final = "allow-scripts allow-forms allow-downloads allow-modals allow-popups allow-pointer-lock"
"""What a sandboxed page may; no `allow-same-origin`, so its origin is none of anybody's."""
_FIXED: Final[Headers] = [
    (b"cache-control", b"private, no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"unsafe-none"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=(), serial=(), hid=()"),
    (b"x-accel-buffering", b"no"),
]
"""Of every answer. The browser asks again each time (no-cache), so nothing is shown after the lease. An opener policy
is a network error for a sandboxed document (HTML standard), and what opens the page has one of its own."""


def host_of(port: int) -> bytes:
    """How the machine's server is called by its own browser."""
    return b"127.0.0.1:%d" % port


def for_machine(
    given: Iterable[tuple[bytes, bytes]], port: int, *, cookie: bytes = b"", authorization: bytes = b"", plain: bool
) -> Headers:
    """The request's headers. `plain`: the answer will be rewritten, so it must not be compressed."""
    found: Headers = [(b"host", host_of(port)), (b"connection", b"close")]
    for raw, value in given:
        name = raw.lower()
        own = name.startswith(b"x-") and not _OURS_TO_KEEP.match(name)
        if name in _TO_MACHINE or own:
            found.append((name, value))
        elif name == b"origin":
            found.append((name, b"http://" + host_of(port)))
        elif name == b"accept-encoding" and not plain:
            found.append((name, value))
    if plain:
        found.append((b"accept-encoding", b"identity"))
    if cookie:
        found.append((b"cookie", cookie))
    if authorization:
        found.append((b"authorization", authorization))
    return _framed(found)


def for_browser(given: Iterable[tuple[bytes, bytes]], *, whole: bool) -> Headers:
    """The answer's headers that pass; `whole`: its body passes unchanged, so its length does too."""
    return [
        (name.lower(), value)
        for name, value in given
        if name.lower() in _TO_BROWSER and (whole or name.lower() != b"content-length")
    ]


def of_sandbox(bases: Sequence[str]) -> Headers:
    """What a page without an origin gets: it may load, call and post to `bases` (its own addresses) alone. It may read
    what it calls, for which its origin is `null`; another page of that origin does not know the address."""
    allowed = " ".join(bases)
    sockets = " ".join(re.sub("^http", "ws", base) for base in bases if base.startswith("http"))
    policy = (
        f"sandbox {CAPABILITIES}; default-src {allowed} data: blob: 'unsafe-inline' 'unsafe-eval'; "
        f"connect-src {allowed} {sockets} data: blob:; object-src 'none'; base-uri {allowed}; form-action {allowed}"
    )
    return [
        *_FIXED,
        (b"content-security-policy", policy.encode()),
        (b"cross-origin-resource-policy", b"cross-origin"),
        (b"access-control-allow-origin", b"null"),
        (b"access-control-allow-credentials", b"true"),
    ]


def of_own_host(socket_base: str) -> Headers:
    """What a page on a host name of its own gets."""
    policy = (
        f"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' {socket_base} data: blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    )
    return [*_FIXED, (b"content-security-policy", policy.encode()), (b"cross-origin-resource-policy", b"same-origin")]


def bases(scheme: str, hosts: Iterable[str], prefix: str) -> list[str]:
    """The addresses of a sandboxed page as sources of a policy; the whole origin where a host cannot be one."""
    named = [f"{scheme}://{host}{prefix}" for host in dict.fromkeys(hosts) if _HOST.match(host)]
    return named or ["'self'"]


def leads_to(location: str, port: int) -> str | None:
    """The part of a redirect's target below the page's own root (`/x` or relative); None when it leads elsewhere.

    Browsers drop tabs and line ends, and read a backslash as a slash."""
    text = re.sub(r"[\t\r\n]", "", location).strip("\x00 ").replace("\\", "/")
    try:
        parts = urlsplit(text)
        own = parts.hostname in (None, "127.0.0.1", "localhost", "::1") and (parts.port or port) == port
    except ValueError:
        return None
    if text.startswith("//") or parts.scheme:
        if not own or parts.hostname is None or parts.scheme not in ("", "http", "https"):
            return None
        rest = text.partition("//")[2]
        return "/" + rest.partition("/")[2].lstrip("/")  # two slashes would name another server
    return text


def _framed(headers: Headers) -> Headers:
    """One way to know the body's end; a second one is how requests are smuggled."""
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    kept = [(n, v) for n, v in headers if n != b"transfer-encoding" and not (chunked and n == b"content-length")]
    return [*kept, (b"transfer-encoding", b"chunked")] if chunked else kept
