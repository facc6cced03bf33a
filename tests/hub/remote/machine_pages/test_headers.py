"""What passes between a browser and a machine's page, name by name."""

from __future__ import annotations

import pytest

from hub.model import credentials
from hub.remote.machine_pages import headers

LOOSENING = (
    "Service-Worker-Allowed", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Set-Cookie",
    "Content-Security-Policy", "Content-Security-Policy-Report-Only", "X-Frame-Options", "Clear-Site-Data", "Refresh",
    "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy", "Referrer-Policy",
    "Strict-Transport-Security", "Alt-Svc", "Link", "NEL", "Report-To", "Reporting-Endpoints", "Permissions-Policy",
    "X-Accel-Redirect", "X-Accel-Buffering", "X-LiteSpeed-Location", "X-Send-File", "X-WebKit-CSP", "X-XSS-Protection",
    "X-Sendfile", "X-Lighttpd-Send-File", "X-Reproxy-URL", "WWW-Authenticate",
    "Proxy-Authenticate", "Origin-Agent-Cluster", "Speculation-Rules", "Set-Login", "Critical-CH", "Accept-CH",
    "Cache-Control", "Connection", "Transfer-Encoding", "Keep-Alive", "Upgrade", "Trailer", "Server", "Via",
    "Timing-Allow-Origin", "SourceMap", "Public-Key-Pins", "X-Permitted-Cross-Domain-Policies", "Location",
)  # fmt: skip


@pytest.mark.parametrize("name", LOOSENING)
def test_a_machine_cannot_say_what_only_the_hub_may(name: str) -> None:
    assert headers.for_browser([(name.encode(), b"x"), (name.lower().encode(), b"y")], whole=True) == []


def test_what_a_page_is_made_of_passes_and_its_length_only_when_unchanged() -> None:
    given = [(b"Content-Type", b"text/html"), (b"ETag", b'"1"'), (b"Content-Length", b"5")]
    assert headers.for_browser(given, whole=True) == [(name.lower(), value) for name, value in given]
    assert (b"content-length", b"5") not in headers.for_browser(given, whole=False)


def test_a_body_has_one_length() -> None:
    given = [(b"content-length", b"5"), (b"transfer-encoding", b"gzip, chunked")]
    sent = headers.for_machine(given, 5000, plain=True)
    assert [pair for pair in sent if pair[0] in (b"content-length", b"transfer-encoding")] == [
        (b"transfer-encoding", b"chunked")
    ]


@pytest.mark.parametrize(
    "name", ["Cookie", "Authorization", "X-Auth-Request-Access-Token", "X-Amzn-Oidc-Data",
             "X-Forwarded-Proto", "X-Real-IP", "Via", "TE", "Upgrade",
             "Connection", "Keep-Alive", "Expect", "Sec-Fetch-Site", "Referer", "Forwarded", "X-Original-URL",
             "X-HTTP-Method-Override", "Proxy-Connection", "Host"]
)  # fmt: skip
def test_a_browser_cannot_say_what_only_the_hub_may(name: str) -> None:
    sent = headers.for_machine([(name.encode(), b"evil")], 5000, plain=False)
    assert b"evil" not in dict(sent).values()


@pytest.mark.parametrize(
    "name", ["X-CSRFToken", "X-CSRF-Token", "X-XSRF-TOKEN", "X-Requested-With", "X-API-Key", "Api-Key", "Token",
             "X-Auth-Token", "HX-Request", "HX-Current-URL", "Turbo-Frame", "Prefer", "Upload-Offset", "Content-Range"]
)  # fmt: skip
def test_what_scripts_of_a_page_say_reaches_its_machine_and_no_credential_of_the_hub(name: str) -> None:
    sent = dict(headers.for_machine([(name.encode(), b"own")], 5000, plain=True))
    assert sent[name.lower().encode()] == b"own"
    ours = credentials.new_secret("token").text.encode()
    assert name.lower().encode() not in dict(headers.for_machine([(name.encode(), b"x " + ours)], 5000, plain=True))


@pytest.mark.parametrize(
    "name", ["X-Total-Count", "X-Page", "X-RateLimit-Remaining", "X-CSRF-Token", "X-Request-Id", "HX-Trigger"]
)
def test_what_scripts_of_a_page_read_reaches_them(name: str) -> None:
    shown = headers.for_browser([(name.encode(), b"1")], whole=False)
    assert headers.readable(shown)[1:] == [(b"access-control-expose-headers", name.lower().encode())]


def test_a_page_signs_in_with_what_it_sent_itself() -> None:
    token = credentials.new_secret("token").text.encode()
    for said, sandboxed, own_host in (
        (b"Bearer page's own", b"Bearer page's own", b"Bearer page's own"), (b"Basic eDp5", b"", b"Basic eDp5"),
        (b"NEGOTIATE x", b"", b"NEGOTIATE x"), (b"Bearer " + token, b"", b""), (token, b"", b""),
    ):  # fmt: skip
        given = [(b"authorization", said)]
        assert headers.authorization(given, sandboxed=True) == sandboxed
        assert headers.authorization(given, sandboxed=False) == own_host
    assert headers.authorization([(b"authorization", b"a"), (b"Authorization", b"b")], sandboxed=False) == b""


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("/a", "/a"), ("a/b?c#d", "/at/a/b?c#d"), ("", "/at/page?q"), ("?x", "/at/page?x"), ("#x", "/at/page#x"),
        ("http://localhost:5000", "/"), ("/a?b=../../c", "/a?b=../../c"), ("?a=\\b", "/at/page?a=\\b"),
        ("http://127.0.0.1:5000/a?b", "/a?b"), ("HTTP://LOCALHOST:5000/a", "/a"), ("//localhost:5000/a", "/a"),
        ("//localhost/a", "/a"), ("http://127.0.0.1:5000?a=1", "/?a=1"), ("http://127.0.0.1:5000#a", "/#a"),
        ("http://[::1]:5000/x", "/x"), ("http://127.0.0.1/", "/"), ("./", "/at/"), ("..", "/"), ("../x/.", "/x/"),
        ("http://127.0.0.1:5000//evil/x", "/evil/x"), ("http://localhost:5000?//evil", "/?//evil"),
        ("//127.0.0.1:5000/\\/evil", "/evil"), ("/../../api/v2/auth/me", "/api/v2/auth/me"), ("../../../../", "/"),
        ("/remote/c/../../login", "/login"), ("/%2e%2e/%2E%2e/x", "/x"), ("/.%2e/x", "/x"), ("/a/..//evil", "/evil"),
        ("/..\\..\\x", "/x"), ("http://127.0.0.1:5000/../../x", "/x"), ("/..;/x", "/..;/x"), ("%2e%2e/%2e%2e/x", "/x"),
        ("http://127.0.0.1:5001/", None), ("http://evil/", None), ("//evil", None), ("\\\\evil", None),
        ("/\\evil", None), ("\t//evil", None), (" //evil", None), ("h\nttp://evil", None), ("javascript:x", None),
        ("data:,x", None), ("blob:x", None), ("http:evil", None), ("ftp://localhost:5000/", None),
        ("http://localhost:5000@evil/", None), ("http://localhost:99999/", None), ("http://2130706433:5000/", None),
        ("http://127.1:5000/", None), ("http://169.254.169.254/", None), ("http://[::ffff:127.0.0.1]:5000/", None),
    ],
)  # fmt: skip
def test_a_redirect_leads_to_the_page_itself_or_nowhere(location: str, leads: str | None) -> None:
    assert headers.leads_to(location, "/at/page?q", 5000) == leads


def test_a_policy_names_the_pages_own_address_whatever_the_host_says() -> None:
    assert headers.bases("https", ["hub:8001", "hub:8001"], "/remote/c/") == ["https://hub:8001/remote/c/"]
    for host in ("hub; script-src *", "[::1]:8001", "", "a b", "hub\r\n", "*.evil"):
        assert headers.bases("https", [host], "/remote/c/") == ["'self'"]


@pytest.mark.parametrize(
    ("said", "document"),
    [
        ({b"Sec-Fetch-Dest": b"document", b"Accept": b"*/*"}, True), ({b"sec-fetch-dest": b"iframe"}, True),
        ({b"sec-fetch-dest": b"empty", b"accept": b"text/html"}, False), ({b"accept": b"text/html,*/*;q=0.8"}, True),
        ({b"accept": b"text/html, */*; q=0.01", b"x-requested-with": b"XMLHttpRequest"}, False),
        ({b"accept": b"text/html", b"hx-request": b"true"}, False), ({b"accept": b"*/*"}, False), ({}, False),
    ],
)  # fmt: skip
def test_what_a_script_asks_for_is_no_document(said: dict[bytes, bytes], document: bool) -> None:
    assert headers.wants_document(said.items()) is document
