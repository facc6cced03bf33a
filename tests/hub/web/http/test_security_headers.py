"""Every answer of the hub has the headers that close it, whatever the path; and what its pages may load is its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio
from starlette.routing import Route

from hub.routes import page_routes
from hub.web.http.layers import CALLED, policy
from tests.support.machine_pages import Asked, PagesHub, machine_server, pages_hub

UNKNOWN = (
    "/nowhere", "/static/", "/static/x.js", "/api", "/api/", "/api/v2/nothing", "/ws/dashboard", "/remote", "/remote/",
    "/remote/abc", "/remote/abc/", "/remote/abc/x/y", "/remote//", "/remote/./x", "/%72emote/abc", "/machines/x/y/z",
)  # fmt: skip
NEEDED = ("x-content-type-options", "referrer-policy", "cross-origin-opener-policy", "cross-origin-resource-policy",
          "cache-control", "content-security-policy", "x-frame-options", "permissions-policy")  # fmt: skip


@pytest_asyncio.fixture
async def pages(tmp_path: Path, sqlite_url: str) -> AsyncIterator[PagesHub]:
    async with pages_hub(tmp_path, database_url=sqlite_url) as made:
        yield made


async def script(asked: Asked) -> None:
    asked.answer(b"hello", "text/javascript")


def every_path(pages: PagesHub) -> list[str]:
    known = [route.path for route in pages.hub.app.routes if isinstance(route, Route)]
    return [*dict.fromkeys(re.sub(r"\{[^}]*\}", "1", path) for path in known), *UNKNOWN]


async def test_no_path_is_without_them(pages: PagesHub) -> None:
    session = await pages.hub.add_session("operator")
    cookies = {"Cookie": f"rvm_session={session}"}
    pages.lease(5000)
    capability = (await pages.page(5000)).removeprefix(pages.url).rstrip("/")
    pages.tunnels.refuse = "not_running"
    async with httpx.AsyncClient(base_url=pages.url, timeout=30) as client:
        for path in (*every_path(pages), capability, f"{capability}/", f"{capability}/.rvm/same_path.js"):
            for method in ("GET", "POST"):
                answer = await client.request(method, path, headers=cookies)
                lacking = [name for name in NEEDED if name not in answer.headers]
                assert not lacking, (method, path, answer.status_code, lacking)
                if path.startswith("/remote/") and "same_path" not in path:
                    assert "csrf" not in answer.text, path


async def test_a_large_body_for_a_page_that_is_not_there_is_not_read(pages: PagesHub) -> None:
    async with httpx.AsyncClient(base_url=pages.url, timeout=60) as client:
        for path in ("/remote/abc", "/remote/abc/x"):
            assert (await client.post(path, content=b"x" * 5_000_000)).status_code == 404


async def test_a_page_of_the_hub_loads_nothing_of_a_machine(pages: PagesHub) -> None:
    async with machine_server(script) as machine, httpx.AsyncClient(timeout=60) as browser:
        pages.lease(machine.port)
        url = await pages.page(machine.port)
        for mode in ("no-cors", "cors", "same-origin"):
            from_ours = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode}
            assert (await browser.get(url, headers=from_ours)).status_code == 403
        assert machine.asked == []
        for site, mode in (("same-origin", "navigate"), ("cross-site", "no-cors"), ("none", "navigate")):
            asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
            assert (await browser.get(url, headers=asked)).status_code == 200


def test_a_policy_names_the_hub_as_it_was_called_and_nothing_that_is_no_name() -> None:
    named = policy(("hub.example:8001", "hub.example"), "https://*.pages.test").decode()
    assert "script-src hub.example:8001/static/ hub.example/static/;" in named
    assert "form-action 'self' https://*.pages.test" in named
    assert "'self'" not in named.replace("form-action 'self'", "")
    for hosts in (("[::1]:8001",), ("x; script-src *",), ("a", "b c"), ()):
        assert "script-src 'self';" in policy(hosts).decode()


def test_every_part_of_a_page_may_be_fetched_by_it() -> None:
    """A page whose parts are not named here looks alive and stays as it was."""
    fetched = [
        path
        for route in page_routes()
        if (path := str(getattr(route, "path", ""))).endswith(("/parts", "/lines", ".json"))
    ]
    assert "/admin/enrol/parts" in fetched
    assert [path for path in fetched if not path.startswith(CALLED)] == []
