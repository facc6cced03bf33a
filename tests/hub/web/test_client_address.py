"""Whose address, and which origin: with and without a proxy, and with what anybody may write into a header."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.client_address import client_address, same_origin


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
