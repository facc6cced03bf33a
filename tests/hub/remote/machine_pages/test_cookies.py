"""Cookies of machines' pages: kept at the hub, shown to scripts cut to size."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from hub.remote.machine_pages.headers import MAX_COOKIES, CookieJar, cookie_for_own_host

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)


def jar(*headers: str) -> bytes:
    made = CookieJar()
    for header in headers:
        made.take(header, NOW)
    return made.header()


def test_the_newest_value_counts_and_an_ended_one_is_gone() -> None:
    assert jar("a=1; Path=/", "b=2", "a=3; HttpOnly") == b"b=2; a=3"
    assert jar("a=1", "a=; Max-Age=0") == b""
    assert jar("a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT") == b""
    assert jar("a=1; Expires=Thu, 01-Jan-2037 00:00:00 GMT") == b"a=1"
    assert jar("a=1; Expires=nonsense") == b"a=1"


@pytest.mark.parametrize("bad", ["", "=x", "a b=1", "a=\x01", "a=\u20ac", "a=" + "x" * 5000, "a\r\nX: y=1"])
def test_what_is_no_cookie_is_not_kept(bad: str) -> None:
    assert jar(bad) == b""


def test_a_jar_is_bounded() -> None:
    full = jar(*(f"c{number}=x" for number in range(MAX_COOKIES + 10)))
    assert full.count(b"=") == MAX_COOKIES
    assert b"c0=" not in full


def test_scripts_see_no_cookie_that_is_for_the_server_alone() -> None:
    made = CookieJar()
    for header in ("sid=1; HttpOnly", "csrftoken=2", "a=3; HttpOnly", "a=4"):
        made.take(header, NOW)
    assert (made.header(), made.shown()) == (b"sid=1; csrftoken=2; a=4", b"csrftoken=2; a=4")


def test_a_page_on_its_own_name_reaches_no_other_name() -> None:
    given = "sid=1; Domain=pages.test; Path=/a; Secure; SameSite=None; Max-Age=60; Partitioned"
    assert cookie_for_own_host(given, secure=True) == "sid=1; max-age=60; path=/a; secure; samesite=lax"
    assert cookie_for_own_host(f"{given}; HttpOnly", secure=True) is None
    for ours in ("rvm_session=x", "__Host-rvm_page=x", "__HOST-RVM_page=x", "__Secure-rvm_a=x", "rvm-x=1"):
        assert cookie_for_own_host(ours, secure=True) is None
