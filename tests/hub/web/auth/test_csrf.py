"""A change by cookie: both proofs, or none."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.auth import origin


def page(origin: str | None, token: str | None) -> HTTPConnection:
    headers = [(b"host", b"hub.test")]
    headers += [(b"origin", origin.encode())] if origin is not None else []
    headers += [(b"x-csrf-token", token.encode())] if token is not None else []
    return HTTPConnection({"type": "http", "scheme": "http", "client": ("1.1.1.1", 1), "headers": headers})


def test_a_token_belongs_to_one_session() -> None:
    assert origin.new_csrf_token("rvms_A") != origin.new_csrf_token("rvms_B")
    assert "rvms_A" not in origin.new_csrf_token("rvms_A")


def test_a_token_looks_different_on_every_page_and_each_counts() -> None:
    tokens = {origin.new_csrf_token("s") for _ in range(10)}
    assert len(tokens) == 10
    assert all(origin.is_proven(page("http://hub.test", token), "s", Settings()) for token in tokens)


def test_a_bent_token_proves_nothing() -> None:
    right = origin.new_csrf_token("s")
    for bent in ("", "00", right[:-2], right + "00", right[64:], "0" * 128, "zz" * 64):
        assert not origin.is_proven(page("http://hub.test", bent), "s", Settings())


def test_origin_and_token_are_both_needed() -> None:
    right, ours = origin.new_csrf_token("s"), "http://hub.test"
    assert origin.is_proven(page(ours, right), "s", Settings())
    assert origin.is_proven(page(ours, None), "s", Settings(), field=right)
    assert not origin.is_proven(page(ours, None), "s", Settings())
    assert not origin.is_proven(page(ours, origin.new_csrf_token("other")), "s", Settings())
    assert not origin.is_proven(page(ours, "é"), "s", Settings())
    for foreign in ("http://evil.test", "null", None):
        assert not origin.is_proven(page(foreign, right), "s", Settings())
