"""An address is itself however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import (
    is_loopback,
    is_url_of_this_computer,
    is_url_unencrypted,
    is_within,
    normalise_address,
    one_site,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\n", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::192.0.2.7", "::c000:207"),
        ("::1", "::1"),
        ("192.0.2.07", None),
        ("192.0.2.7/32", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_one_writing_for_each(text: str, found: str | None) -> None:
    assert normalise_address(text) == found


@given(st.ip_addresses(v=4))
def test_every_mapped_address_is_the_address(address: object) -> None:
    assert normalise_address(f"::ffff:{address}") == str(address)
    assert is_within(f"::ffff:{address}", [str(address)])
    assert is_within(str(address), [f"::ffff:{address}"])


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(text: str) -> None:
    assert is_loopback(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "localhost", ""])
def test_no_loopback(text: str) -> None:
    assert not is_loopback(text)


NETWORKS = ["10.1.0.0/16", "192.0.2.9", "::ffff:172.16.0.0/108", "fd00::/8", "nonsense", 7]


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.9", "172.31.9.9", "::ffff:172.16.1.1", "fd00::7"]
)
def test_held(address: str) -> None:
    assert is_within(address, NETWORKS)


@pytest.mark.parametrize(
    "address", ["10.2.0.1", "192.0.2.8", "172.32.0.1", "fe80::1", "::ffff:11.0.0.1", "nonsense", ""]
)
def test_not_held(address: str) -> None:
    assert not is_within(address, NETWORKS)


def test_all_of_ipv6_holds_no_ipv4() -> None:
    assert not is_within("::ffff:10.0.0.1", ["::/0"])
    assert is_within("::ffff:10.0.0.1", ["0.0.0.0/0"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("hub.example.com", "pages.example.com", True), ("example.com", "pages.example.com", True),
        ("HUB.Example.com.", "pages.example.COM", True), ("a.site.lan", "pages.site.lan", True),
        ("hub.example.co.id", "pages.example.co.id", True), ("hub.example.id", "pages.example.id", True),
        ("hub.example.com", "pages.example.net", False), ("hub.example.com", "pages.other.com", False),
        ("hub.one.co.id", "pages.two.co.id", False), ("hub.one.com.au", "pages.two.com.au", False),
        ("localhost", "pages.localhost", False), ("hub.local", "pages.local", False),
        ("127.0.0.1", "pages.example.com", False), ("10.0.0.1", "10.0.0.1", False), ("[::1]", "pages.x.y", False),
        ("hub.internal", "pages.hub.internal", True),
    ],
)  # fmt: skip
def test_what_is_one_site(one: str, other: str, same: bool) -> None:
    assert one_site(one, other) is same
    assert one_site(other, one) is same


@pytest.mark.parametrize(
    ("url", "here", "in_clear"),
    [
        ("http://localhost:8001", True, False), ("http://127.0.0.1:8001/rvm", True, False),
        ("http://[::1]:8001", True, False), ("http://10.0.0.7", False, True), ("HTTP://hub.lan:8001", False, True),
        ("http://hub.localhost", False, True), ("https://hub.example.com", False, False),
        ("https://localhost", True, False),
    ],
)  # fmt: skip
def test_where_a_url_leads_and_whether_a_network_reads_what_is_sent_there(url: str, here: bool, in_clear: bool) -> None:
    assert is_url_of_this_computer(url) is here
    assert is_url_unencrypted(url) is in_clear
