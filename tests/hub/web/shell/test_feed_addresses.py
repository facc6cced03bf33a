"""Which machines each page is sent all of: of every one where it draws readings of any, else its own or none."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio

from dashboard import pages
from tests.browser.test_every_width import PAGES
from tests.support.api_hub import ApiHub, api_hub

OF_ALL: Final = re.compile(r"/(\?.*)?|/alerts(\?.*)?")
_INCLUDED: Final = re.compile(r'{% (?:include|extends) "([\w.]+)"')
_OF_ANY: Final = re.compile(r"{{ sentence\(r,[^}]*?, (?!m\.id\))[\w.]+\)")


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        yield made


async def test_a_page_asks_for_its_machine_or_for_none_or_draws_any(hub: ApiHub) -> None:
    one = hub.machines["one"]
    async with hub.browser(await hub.add_session("admin")) as page:
        for path in PAGES:
            if re.search(r"/[23]\b", path):
                continue  # of machines that this hub has not
            path = re.sub(r"/(machines|m)/1", rf"/\1/{one}", path)
            answer = await page.get(path)
            asked = re.findall(r' data-feed="([^"]*)"', answer.text)
            of = "" if OF_ALL.fullmatch(path) else f"?of={one if re.match('/(machines|m)/[0-9]', path) else 0}"
            assert asked == [f"/ws/dashboard{of}"], path


def test_a_page_whose_parts_draw_a_value_of_any_machine_is_sent_all() -> None:
    texts = {file.name: file.read_text() for file in pages.FOLDER.glob("*.html")}

    def whole(name: str) -> str:
        return texts[name] + "".join(whole(other) for other in _INCLUDED.findall(texts[name]) if other != "base.html")

    drawing = [name for name, text in texts.items() if '"base.html"' in text and _OF_ANY.search(whole(name))]
    assert sorted(drawing) == ["alerts.html", "machines.html"]
    assert [name for name in drawing if "{% block feed %}{% endblock %}" not in texts[name]] == []
