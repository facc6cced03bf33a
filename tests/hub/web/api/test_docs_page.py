"""The page: every operation with its example, readable without anything from elsewhere."""

from __future__ import annotations

import re

from hub.routes import OPERATIONS
from hub.web.api import openapi
from hub.web.http.problems import STATUS_OF
from tests.support.api_hub import ApiHub


def test_every_operation_is_on_the_page_with_a_command_line() -> None:
    page = openapi.docs_page(OPERATIONS, "en")
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page
        assert operation.summary in page.replace("&#39;", "'").replace("&amp;", "&")
    assert page.count("curl ") >= len(OPERATIONS)


def test_nothing_comes_from_elsewhere_and_nothing_runs() -> None:
    page = openapi.docs_page(OPERATIONS, "en")
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert not re.search(r"url\(|@import", page)


def test_every_link_of_the_page_and_every_problem_type_has_its_place() -> None:
    page = openapi.docs_page(OPERATIONS, "en")
    places = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= places
    assert {f"problem-{kind}" for kind in STATUS_OF} <= places


def test_a_command_line_is_one_to_copy() -> None:
    by_name = {operation.name: operation for operation in OPERATIONS}
    line = openapi.curl(by_name["add_machine"])
    assert line.startswith("curl -X POST http://127.0.0.1:8001/api/v2/rvms \\\n  -H")
    assert "{" not in openapi.curl(by_name["revoke_token"]).replace("$TOKEN", "")


async def test_it_is_served_in_the_readers_language(hub: ApiHub) -> None:
    async with hub.client() as nobody:
        english = await nobody.get("/api/v2/docs")
        indonesian = await nobody.get("/api/v2/docs", headers={"Accept-Language": "id"})
    assert english.headers["content-type"].startswith("text/html")
    assert '<html lang="en">' in english.text
    assert '<html lang="id">' in indonesian.text
    assert "Isi permintaan" in indonesian.text
