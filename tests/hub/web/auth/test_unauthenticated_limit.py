"""How many sockets may wait for a credential: of one address, and of all."""

from __future__ import annotations

from hub.web.auth.limits import UnauthenticatedLimit


def test_no_more_of_one_address_than_of_one_address() -> None:
    limit = UnauthenticatedLimit(most=2, of_all=10)
    first = limit.admit("192.0.2.1")
    assert first is not None
    assert limit.admit("192.0.2.1") is not None
    assert limit.admit("192.0.2.1") is None
    assert limit.admit("192.0.2.2") is not None
    first.leave()
    first.leave()
    assert limit.admit("192.0.2.1") is not None


def test_no_more_of_all_than_of_all() -> None:
    limit = UnauthenticatedLimit(most=2, of_all=3)
    standing = [limit.admit(f"192.0.2.{number}") for number in range(4)]
    assert [one is not None for one in standing] == [True, True, True, False]
    assert standing[0] is not None
    standing[0].leave()
    assert limit.admit("192.0.2.9") is not None
    assert len(limit) == 3
