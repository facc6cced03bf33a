"""Pages are compressed for whoever asks; the API and static files are left as they are."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hub.web.http.layers import PageCompression

TEXT = "a machine and another machine " * 200


async def answer(request: Request) -> PlainTextResponse:
    del request
    return PlainTextResponse(TEXT)


@pytest.mark.parametrize(
    ("path", "asked", "encoding"),
    [("/", "gzip", "gzip"), ("/", "identity", None), ("/api/v2/rvms", "gzip", None), ("/static/a.css", "gzip", None)],
)
async def test_only_pages_are_compressed(path: str, asked: str, encoding: str | None) -> None:
    app = Starlette(routes=[Route("/{rest:path}", answer)], middleware=[Middleware(PageCompression)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
        got = await client.get(path, headers={"accept-encoding": asked})
    assert got.headers.get("content-encoding") == encoding
    assert got.text == TEXT
