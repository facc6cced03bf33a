"""Headers between a browser and a machine's page, cookies included: lists of what may pass.

Headers about origins, frames, storage, workers or proxies never do. The hub keeps the page's cookies for the
session: a sandboxed page has no origin for them, and on its own host name a sibling could plant some."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from hub.model import credentials
from hub.web.http.layers import HOST

MAX_COOKIES: Final = 50
MAX_COOKIE_BYTES: Final = 4096
_OURS: Final = re.compile(r"(__host-|__secure-)?rvm[_-]", re.IGNORECASE)
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")
_COOKIE_VALUE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]*\Z")


class CookieJar:
    """The oldest makes room. One server: paths and domains are not kept apart."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}  # Bound: MAX_COOKIES of MAX_COOKIE_BYTES
        self._hidden: set[str] = set()  # Bound: those of them that scripts may not see

    def take(self, header: str, now: datetime) -> None:
        pair, attributes = _cookie_parts(header)
        name, value = pair
        if not _COOKIE_NAME.match(name) or not _COOKIE_VALUE.match(value) or len(name) + len(value) > MAX_COOKIE_BYTES:
            return
        self._drop(name)
        if _expired(attributes, now):
            return
        self._kept[name] = value
        if "httponly" in attributes:
            self._hidden.add(name)
        if len(self._kept) > MAX_COOKIES:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        self._kept.pop(name, None)
        self._hidden.discard(name)

    def header(self) -> bytes:
        return _cookie_header(self._kept)

    def shown(self) -> bytes:
        return _cookie_header({name: value for name, value in self._kept.items() if name not in self._hidden})


def cookie_for_own_host(header: str, *, secure: bool) -> str | None:
    """No domain. None: `HttpOnly`, or one of our names."""
    pair, attributes = _cookie_parts(header)
    name, value = pair
    if (
        not _COOKIE_NAME.match(name)
        or not _COOKIE_VALUE.match(value)
        or _OURS.match(name)
        or len(header) > 2 * MAX_COOKIE_BYTES
    ):
        return None
    if "httponly" in attributes:
        return None
    kept = [f"{name}={value}"]
    limits = [(key, attributes.get(key)) for key in ("expires", "max-age", "path")]
    kept += [f"{key}={text}" for key, text in limits if text is not None and _COOKIE_VALUE.match(text)]
    return "; ".join([*kept, *(["secure"] if secure else []), "samesite=lax"])


def _cookie_header(pairs: dict[str, str]) -> bytes:
    return "; ".join(f"{name}={value}" for name, value in pairs.items()).encode("latin-1")


def _cookie_parts(header: str) -> tuple[tuple[str, str], dict[str, str]]:
    first, *rest = header.split(";")
    name, _, value = first.partition("=")
    attributes = {}
    for part in rest:
        key, _, text = part.partition("=")
        attributes[key.strip().lower()] = text.strip()
    return (name.strip(), value.strip()), attributes


def _expired(attributes: dict[str, str], now: datetime) -> bool:
    age = attributes.get("max-age")
    if age is not None and re.fullmatch(r"-?[0-9]{1,10}", age):
        return int(age) <= 0
    try:
        at = parsedate_to_datetime(attributes["expires"].replace("-", " "))
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return False
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)) <= now


Headers = list[tuple[bytes, bytes]]

_TO_MACHINE: Final = frozenset(
    b"accept accept-language cache-control content-disposition content-encoding content-language content-length "
    b"content-range content-type if-match if-modified-since if-none-match if-range if-unmodified-since last-event-id "
    b"pragma prefer range transfer-encoding user-agent access-token api-key apikey auth-token csrf-token csrftoken "
    b"idempotency-key soapaction token turbo-frame xsrf-token".split()
)
_FAMILIES_TO_MACHINE: Final = (b"x-", b"hx-", b"tus-", b"upload-")
_NOT_TO_MACHINE: Final = re.compile(
    rb"x-(accel|amz|auth-request|authenticated|azure|client|cloud|cluster|envoy|forwarded|goog|http-method|ms-|original"
    rb"|pomerium|proxy|real|remote|rvm|ssl|tls|verified)"
)  # Not from scripts of a page: ours, and those that a proxy in front of the hub adds about the client
_SENT_BY_BROWSERS: Final = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Sent for a proxy in front of the hub."""
_TO_BROWSER: Final = frozenset(
    b"accept-ranges age allow content-disposition content-encoding content-language content-length content-range "
    b"content-type date etag expires last-modified retry-after vary".split()
)
_FAMILIES_TO_BROWSER: Final = (b"x-", b"hx-", b"ratelimit-", b"tus-", b"upload-")
_NOT_TO_BROWSER: Final = re.compile(
    rb"x-.*(accel|compatible|envoy|forward|frame|internal|lighttpd|litespeed|location|options|permitted|polic|prefetch"
    rb"|proxy|redirect|reproxy|rvm|security|send|sourcemap|webkit|xss)"
)  # Obeyed by a proxy in front of the hub or by the browser, and not read by scripts of the page
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""Where a browser follows `Location`; elsewhere it is a value for scripts."""
_DOCUMENTS: Final = frozenset({b"document", b"iframe", b"frame", b"embed", b"object"})

CAPABILITIES: Final = "allow-scripts allow-forms allow-downloads allow-modals allow-popups allow-pointer-lock"
"""No `allow-same-origin`: the sandbox's origin is opaque."""
_FIXED: Final[Headers] = [
    (b"cache-control", b"private, no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"unsafe-none"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=(), serial=(), hid=()"),
    (b"x-accel-buffering", b"no"),
]  # no-cache: nothing is shown after the session. A strict opener policy is a network error for a sandboxed document.


def host_of(port: int) -> bytes:
    return b"127.0.0.1:%d" % port


def for_machine(
    given: Iterable[tuple[bytes, bytes]], port: int, *, cookie: bytes = b"", authorization: bytes = b"", plain: bool
) -> Headers:
    """`plain`: the answer will be rewritten, so it must not be compressed."""
    found: Headers = [(b"host", host_of(port)), (b"connection", b"close")]
    for raw, value in given:
        name = raw.lower()
        family = name.startswith(_FAMILIES_TO_MACHINE) and not _NOT_TO_MACHINE.match(name)
        if (name in _TO_MACHINE or family) and not _is_of_the_hub(value):
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


def authorization(given: Iterable[tuple[bytes, bytes]], *, sandboxed: bool) -> bytes:
    """b"" for none. From a sandbox without a proxy's schemes."""
    sent = [value for name, value in given if name.lower() == b"authorization"]
    if len(sent) != 1 or _is_of_the_hub(sent[0]):
        return b""
    scheme = sent[0].decode("latin-1").partition(" ")[0].lower()
    return b"" if sandboxed and scheme in _SENT_BY_BROWSERS else sent[0]


def wants_document(given: Iterable[tuple[bytes, bytes]]) -> bool:
    sent = {name.lower(): value for name, value in given}
    kind = sent.get(b"sec-fetch-dest")
    if kind is not None:
        return kind in _DOCUMENTS
    return b"text/html" in sent.get(b"accept", b"") and not sent.keys() & {b"x-requested-with", b"hx-request"}


def _is_of_the_hub(value: bytes) -> bool:
    return b"rvm" in value and any(credentials.recognise(word) for word in value.decode("latin-1").split())


def for_browser(given: Iterable[tuple[bytes, bytes]], *, whole: bool) -> Headers:
    """`whole`: the body passes unchanged, so its length and encoding do too."""
    changed = () if whole else (b"content-length", b"content-encoding")
    return [(name.lower(), value) for name, value in given if _passes(name.lower()) and name.lower() not in changed]


def _passes(name: bytes) -> bool:
    return name in _TO_BROWSER or (name.startswith(_FAMILIES_TO_BROWSER) and not _NOT_TO_BROWSER.match(name))


def readable(shown: Headers) -> Headers:
    names = dict.fromkeys(name for name, _ in shown)
    return [*shown, (b"access-control-expose-headers", b", ".join(names))] if names else []


def of_sandbox(bases: Sequence[str]) -> Headers:
    """It loads, calls and posts to `bases` alone. Its origin is `null`."""
    allowed = " ".join(bases)
    sockets = " ".join(re.sub("^http", "ws", base) for base in bases if base.startswith("http"))
    policy = (
        f"sandbox {CAPABILITIES}; default-src {allowed} data: blob: 'unsafe-inline' 'unsafe-eval'; "
        f"connect-src {allowed} {sockets} data: blob:; object-src 'none'; base-uri {allowed}; form-action {allowed}"
    )
    return [
        *_FIXED,
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", policy.encode()),
        (b"cross-origin-resource-policy", b"cross-origin"),
        (b"access-control-allow-origin", b"null"),
        (b"access-control-allow-credentials", b"true"),
    ]


def of_own_host(socket_base: str) -> Headers:
    policy = (
        f"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' {socket_base} data: blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    )
    return [
        *_FIXED,
        (b"referrer-policy", b"same-origin"),  # with none, browsers send forms with `Origin: null`
        (b"content-security-policy", policy.encode()),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]


def bases(scheme: str, hosts: Iterable[str], prefix: str) -> list[str]:
    """A sandboxed page's addresses as policy sources; 'self' where no host can be one."""
    named = [f"{scheme}://{host}{prefix}" for host in dict.fromkeys(hosts) if HOST.match(host)]
    return named or ["'self'"]


def leads_to(location: str, at: str, port: int) -> str | None:
    """Below the page's own root; None: elsewhere. Browsers drop tabs and line ends; a backslash is a slash."""
    text = re.sub(r"[\t\r\n]", "", location).strip("\x00 ")
    path, mark, more = _parted(text)
    text = path.replace("\\", "/") + mark + more
    try:
        parts = urlsplit(text)
        own = parts.hostname in (None, "127.0.0.1", "localhost", "::1") and (parts.port or port) == port
    except ValueError:
        return None
    if text.startswith("//") or parts.scheme:
        if not own or parts.hostname is None or parts.scheme not in ("", "http", "https"):
            return None
        path, mark, more = _parted(text.partition("//")[2])
        path = "/" + path.partition("/")[2]
    else:
        path, mark, more = _parted(text)
        base, base_mark, base_more = _parted(at)
        if not path:
            path, mark, more = base, mark or base_mark, more if mark else base_more
        elif not path.startswith("/"):
            path = base.rpartition("/")[0] + "/" + path
    return below_root(path) + mark + more


def below_root(path: str) -> str:
    """Without steps up (`..`, also escaped), with one leading slash: two would name another server."""
    steps: list[str] = []
    names = path.split("/")
    for name in names:
        plain = re.sub("%2e", ".", name, flags=re.IGNORECASE)
        if plain == "..":
            del steps[-1:]
        elif plain != ".":
            steps.append(name)
    ends = "/" if re.sub("%2e", ".", names[-1], flags=re.IGNORECASE) in (".", "..") else ""
    return "/" + ("/".join(steps) + ends).lstrip("/")


def _parted(address: str) -> tuple[str, str, str]:
    at = min((found for mark in "?#" if (found := address.find(mark)) >= 0), default=len(address))
    return address[:at], address[at : at + 1], address[at + 1 :]


def _framed(headers: Headers) -> Headers:
    """One framing of the body: two allow request smuggling."""
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    kept = [(n, v) for n, v in headers if n != b"transfer-encoding" and not (chunked and n == b"content-length")]
    return [*kept, (b"transfer-encoding", b"chunked")] if chunked else kept
