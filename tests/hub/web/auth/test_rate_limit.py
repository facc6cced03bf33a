"""Tries of an address, with a clock that moves when told."""

from __future__ import annotations

from hub.web.auth.limits import MAX_ADDRESSES, AddressLimiter, network_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_forty_at_once_then_twenty_a_minute() -> None:
    clock = Clock()
    limiter = AddressLimiter(clock=clock)
    assert [limiter.charge("1.2.3.4") for _ in range(40)] == [None] * 40
    assert limiter.charge("1.2.3.4") == 3
    clock.now += 60
    assert [limiter.charge("1.2.3.4") for _ in range(21)].count(None) == 20


def test_addresses_do_not_pay_for_each_other() -> None:
    limiter = AddressLimiter(burst=1, clock=Clock())
    assert limiter.charge("1.2.3.4") is None
    assert limiter.charge("1.2.3.4") is not None
    assert limiter.charge("1.2.3.5") is None


def test_a_v6_subscriber_is_one_client_whatever_the_address() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert network_of("not an address") == "not an address"


def test_looking_takes_nothing() -> None:
    limiter = AddressLimiter(burst=1, clock=Clock())
    assert limiter.wait("1.2.3.4") is None
    assert limiter.wait("1.2.3.4") is None
    assert limiter.charge("1.2.3.4") is None
    assert limiter.wait("1.2.3.4") == 3


def test_the_table_is_bounded() -> None:
    limiter = AddressLimiter(clock=Clock())
    for n in range(MAX_ADDRESSES + 50):
        limiter.charge(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(limiter) == MAX_ADDRESSES
