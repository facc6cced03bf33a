"""Labels to print, and the page that they lead to: whose they are, where they lead, what an odd name does to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dashboard import qr_code
from hub.machines.key_page import label
from tests.support.api_hub import ORIGIN, ApiHub, api_hub
from tests.support.page_visitor import browser


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


def test_a_label_leads_to_the_page_of_its_machine() -> None:
    made = label("https://hub.example/", "Mesin 1", "RVM 1/a?é")
    assert made.address == "https://hub.example/m/RVM%201%2Fa%3F%C3%A9"
    assert (made.side, made.dark) == qr_code.path(made.address)


def test_an_address_that_no_code_holds_is_written_out() -> None:
    made = label("https://hub.example", "Mesin 1", "é" * 100)
    assert (made.side, made.dark) == (0, "")
    assert made.address.endswith("%A9")


@pytest.mark.parametrize("language", ["en", "id"])
async def test_people_print_labels_of_the_machines_they_see(hub: ApiHub, language: str) -> None:
    async with await browser(hub, "operator", language=language) as client:
        page = (await client.get("/labels")).text
        assert page.count("<svg viewBox=") == len(hub.machines) + page.count('class="brand"')
        assert f"{ORIGIN}/m/dev-two" in page
        one = (await client.get("/machines/1/label")).text
        assert f"{ORIGIN}/m/" in one
        assert "/labels" in one
        found = (await client.get("/labels?q=dev-two")).text
        assert f"{ORIGIN}/m/dev-two" in found
        assert "<li>" in found
        assert found.count("<li>") == 1


async def test_the_page_in_front_of_a_machine_offers_what_its_reader_may_do(hub: ApiHub) -> None:
    for name, may in (("operator", True), ("viewer", False)):
        async with await browser(hub, name) as client:
            page = (await client.get("/m/dev-two")).text
            assert ("/terminal" in page) == may
            assert ("Camera" in page) == may
    async with await browser(hub, "operator") as client:
        assert (await client.get("/m/nobody")).status_code == 404
        token = {"status": "maintenance", "reason": "Sensor", "back": "/m/dev-two"}
        page = (await client.get("/m/dev-two")).text
        token["csrf_token"] = page.split('name="csrf_token" value="')[1].split('"')[0]
        answer = await client.post("/machines/dev-two/status", data=token)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/m/dev-two?done=")
        page = (await client.get(answer.headers["location"])).text
        assert 'value="/m/dev-two"' in page
        asked = await client.post("/machines/dev-two/status", data={**token, "back": "//evil.example"})
        assert asked.headers["location"].startswith("/machines/")
