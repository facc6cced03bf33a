"""Whose address, and which origin: with and without a proxy, and with what anybody may write into a header."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.auth.origin import client_address, is_under_foreign_name, origin_hint, same_origin


def connection(peer: str, scheme: str = "http", **headers: str | list[str]) -> HTTPConnection:
    raw = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return HTTPConnection({"type": "http", "scheme": scheme, "client": (peer, 1), "headers": raw, "path": "/"})


def test_without_a_proxy_nobody_can_say_who_they_are() -> None:
    spoofed = connection("6.6.6.6", x_forwarded_for="1.1.1.1", x_real_ip="1.1.1.1", forwarded="for=1.1.1.1")
    assert client_address(spoofed, ()) == "6.6.6.6"
    assert client_address(spoofed, ("10.0.0.1",)) == "6.6.6.6"


@pytest.mark.parametrize(
    ("forwarded", "real"),
    [
        ("1.1.1.1", "1.1.1.1"),
        ("9.9.9.9, 1.1.1.1", "1.1.1.1"),
        ("9.9.9.9, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (["9.9.9.9", "1.1.1.1"], "1.1.1.1"),
        ("1.1.1.1, nonsense", "10.0.0.1"),
        ("10.0.0.2", "10.0.0.2"),
        ("", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_behind_proxies_the_nearest_stranger_is_the_client(forwarded: str | list[str], real: str) -> None:
    assert client_address(connection("10.0.0.1", x_forwarded_for=forwarded), ("10.0.0.0/24",)) == real


def test_without_a_header_the_proxy_itself_is_the_client() -> None:
    assert client_address(connection("10.0.0.1"), ("10.0.0.1",)) == "10.0.0.1"
    assert client_address(connection("testclient", x_forwarded_for="1.1.1.1"), ("10.0.0.1",)) == "testclient"


def test_a_socket_for_both_families_sees_the_same_proxies_and_clients() -> None:
    assert client_address(connection("::ffff:6.6.6.6"), ()) == "6.6.6.6"
    behind = connection("::ffff:10.0.0.1", x_forwarded_for="::ffff:1.1.1.1")
    assert client_address(behind, ("10.0.0.0/24",)) == "1.1.1.1"
    assert client_address(connection("10.0.0.1", x_forwarded_for="1.1.1.1"), ("::ffff:10.0.0.0/120",)) == "1.1.1.1"


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("http://hub.test:8001", True),
        ("http://HUB.test:8001", True),
        ("http://hub.test", False),
        ("https://hub.test:8001", False),
        ("http://hub.test:8002", False),
        ("http://sub.hub.test:8001", False),
        ("http://hub.test.evil.com:8001", False),
        ("http://user@hub.test:8001", False),
        ("http://hub.test:8001/path", False),
        ("http://hub.test:bad", False),
        ("null", False),
        ("", False),
        (["http://hub.test:8001", "http://hub.test:8001"], False),
        ([], False),
    ],
)
def test_an_origin_is_ours_to_the_letter(origin: str | list[str], ours: bool) -> None:
    said = connection("1.1.1.1", host="hub.test:8001", origin=origin)
    assert same_origin(said, Settings()) is ours


def test_the_default_port_may_be_left_out() -> None:
    assert same_origin(connection("1.1.1.1", host="hub.test:80", origin="http://hub.test"), Settings())
    assert same_origin(connection("1.1.1.1", "https", host="hub.test", origin="https://hub.test"), Settings())
    assert not same_origin(connection("1.1.1.1", "https", host="hub.test", origin="http://hub.test"), Settings())


def test_behind_a_proxy_tls_ended_there() -> None:
    behind = Settings(behind_proxy=("10.0.0.1",))
    assert same_origin(connection("10.0.0.1", host="hub.test", origin="https://hub.test"), behind)
    assert not same_origin(connection("10.0.0.1", host="hub.test", origin="http://hub.test"), behind), "no page of ours"


def test_a_configured_url_wins_over_the_host_header() -> None:
    configured = Settings(public_url="https://hub.example")
    assert same_origin(connection("1.1.1.1", host="evil.com", origin="https://hub.example"), configured)
    assert not same_origin(connection("1.1.1.1", host="evil.com", origin="http://evil.com"), configured)


@pytest.mark.parametrize(
    ("host", "origin", "hinted"),
    [
        ("hub.example", "https://hub.example:8443", "csrf_host"),
        ("hub.example:8001", "https://hub.example", "csrf_host"),
        ("hub.example", "http://hub.example", "csrf_host"),
        ("hub.example", "https://hub.example", None),
        ("hub.example", "https://evil.example:8443", None),
        ("hub.example", "null", None),
    ],
)
def test_a_page_of_ours_that_a_proxy_hides_gets_a_hint(host: str, origin: str, hinted: str | None) -> None:
    hint = origin_hint(connection("10.0.0.1", host=host, origin=origin), Settings(behind_proxy=("10.0.0.1",)))
    assert (None if hint is None else hint.key) == hinted
    if hint is not None:
        assert hint.params["origin"] == origin


def test_a_page_under_another_address_than_the_configured_one_is_answered_with_that() -> None:
    configured = Settings(public_url="https://hub.example")
    hint = origin_hint(connection("1.1.1.1", host="10.0.0.5:8001", origin="http://10.0.0.5:8001"), configured)
    assert hint is not None
    assert (hint.key, hint.params) == ("csrf_elsewhere", {"url": "https://hub.example"})


@pytest.mark.parametrize(
    ("host", "foreign"),
    [
        ("hub.example", False), ("HUB.example:443", False), ("hub.example.", False), ("localhost:8001", False),
        ("hub.localhost", False), ("127.0.0.1:8001", False), ("[::1]:8001", False), ("10.0.0.5", False),
        ("backend", False), ("evil.example", True), ("hub.example.evil.example", True), ("sub.hub.example", True),
        ("127.0.0.1.evil.example", True), ("", True), ("a/b", True),
    ],
)  # fmt: skip
def test_a_name_that_is_not_the_hubs(host: str, foreign: bool) -> None:
    configured = Settings(public_url="https://hub.example", behind_proxy=("10.9.9.9",))
    assert is_under_foreign_name(connection("1.1.1.1", host=host), configured) is foreign
    assert not is_under_foreign_name(connection("1.1.1.1", host=host), Settings()), "nobody told it its name"
    assert not is_under_foreign_name(connection("::ffff:10.9.9.9", host=host), configured), "the proxy calls it so"
