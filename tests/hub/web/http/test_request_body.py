"""Bodies: how much is read, and what counts as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from hub.web.http import request_body
from hub.web.http.problems import Problem


def request(chunks: list[bytes], **headers: str) -> tuple[Request, list[int]]:
    """A request whose body comes in chunks, and how many of them were taken."""
    taken = [0]

    async def stream() -> AsyncIterator[Message]:
        for n, chunk in enumerate(chunks):
            taken[0] = n + 1
            yield {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1}

    body = stream()
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": "http", "method": "POST", "headers": raw, "path": "/"}
    return Request(scope, lambda: body.__anext__()), taken


async def test_a_body_announced_too_long_is_not_read_at_all() -> None:
    made, taken = request([b"x" * 10], content_length="1000000000000000000000000")
    with pytest.raises(Problem) as refused:
        await request_body.read(made, 100)
    assert (refused.value.status, taken[0]) == (413, 0)


async def test_a_body_of_unknown_length_is_read_up_to_the_limit() -> None:
    made, taken = request([b"x" * 60] * 10)
    with pytest.raises(Problem) as refused:
        await request_body.read(made, 100)
    assert (refused.value.status, taken[0]) == (413, 2)
    made, _ = request([b"x" * 50, b"x" * 50])
    assert len(await request_body.read(made, 100)) == 100


@pytest.mark.parametrize("body", [
    b"", b"{", b"{'a':1}", b'{"a":NaN}', b"\xff", b'"\\ud800"', b"[" * 5000, b"[" * 40 + b"]" * 40, b'{"a":1} x',
    b"1" * 5000, b"1e400",
])  # fmt: skip
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        request_body.decode(body)
    assert refused.value.status == 400


def test_wild_numbers_become_texts_where_that_is_wanted() -> None:
    found = request_body.decode(
        b'[{"a":NaN,"b":1e400,"c":-Infinity,"d":1.5,"e":99999999999999999999999}]', wild_numbers=True
    )
    assert found == [{"a": "NaN", "b": "1e400", "c": "-Infinity", "d": 1.5, "e": "99999999999999999999999"}]
    with pytest.raises(Problem):
        request_body.decode(b'[NaN, "\\ud800"]', wild_numbers=True)


@pytest.mark.parametrize(("media", "fine"), [
    ("application/json", True), ("Application/JSON; charset=UTF-8", True), ("application/merge-patch+json", True),
    ("", False), ("text/plain", False), ("application/x-www-form-urlencoded", False), ("multipart/form-data", False),
    ("application/json; charset=utf-16", False),
])  # fmt: skip
def test_only_json_is_read(media: str, fine: bool) -> None:
    made, _ = request([b"{}"], content_type=media)
    if fine:
        request_body.require_json(made)
    else:
        with pytest.raises(Problem) as refused:
            request_body.require_json(made)
        assert refused.value.status == 415
