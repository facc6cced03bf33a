"""A change by cookie: both proofs, or none."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from hub.settings import Settings
from hub.web.auth import csrf


def page(origin: str | None, token: str | None) -> HTTPConnection:
    headers = [(b"host", b"hub.test")]
    headers += [(b"origin", origin.encode())] if origin is not None else []
    headers += [(b"x-csrf-token", token.encode())] if token is not None else []
    return HTTPConnection({"type": "http", "scheme": "http", "client": ("1.1.1.1", 1), "headers": headers})


def test_a_token_belongs_to_one_session() -> None:
    assert csrf.token_for("rvms_A") != csrf.token_for("rvms_B")
    assert "rvms_A" not in csrf.token_for("rvms_A")


def test_a_token_looks_different_on_every_page_and_each_counts() -> None:
    tokens = {csrf.token_for("s") for _ in range(10)}
    assert len(tokens) == 10
    assert all(csrf.holds(page("http://hub.test", token), "s", Settings()) for token in tokens)


def test_a_bent_token_proves_nothing() -> None:
    right = csrf.token_for("s")
    for bent in ("", "00", right[:-2], right + "00", right[64:], "0" * 128, "zz" * 64):
        assert not csrf.holds(page("http://hub.test", bent), "s", Settings())


def test_origin_and_token_are_both_needed() -> None:
    right, ours = csrf.token_for("s"), "http://hub.test"
    assert csrf.holds(page(ours, right), "s", Settings())
    assert csrf.holds(page(ours, None), "s", Settings(), field=right)
    assert not csrf.holds(page(ours, None), "s", Settings())
    assert not csrf.holds(page(ours, csrf.token_for("other")), "s", Settings())
    assert not csrf.holds(page(ours, "é"), "s", Settings())
    for foreign in ("http://evil.test", "null", None):
        assert not csrf.holds(page(foreign, right), "s", Settings())
