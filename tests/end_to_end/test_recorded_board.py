"""A recorded Jetson under the real agent and a real hub: what the machine reads is what its page shows."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import httpx
import msgspec
import pytest

from dashboard import board
from dashboard.reader import Reader
from protocol.board import Board
from tests.device import board_trees
from tests.end_to_end.test_hub_and_agent import Operator
from tests.support.door_agent import door_agent
from tests.support.door_hub import door_hub
from tests.support.until import until_answered


async def reported(browser: httpx.AsyncClient, rvm_id: int) -> Board | None:
    answer = await browser.get(f"/api/v2/rvms/{rvm_id}")
    known = answer.json()["data"]["board_report"]
    return None if known is None else msgspec.convert(known, Board)


async def lines(browser: httpx.AsyncClient, rvm_id: int) -> dict[str, str]:
    """Of the card on the machine's page: names and values, as a person reads them."""
    page = (await browser.get(f"/machines/{rvm_id}")).text
    section = page[page.index('id="board"') : page.index("</section>", page.index('id="board"'))]
    pairs = re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", section, re.DOTALL)
    return {_bare(name): _bare(value) for name, value in pairs}


def _bare(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text)).strip()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["orin_nano_jetpack6", "agx_orin_jetpack5"])
async def test_what_the_machine_reads_is_what_its_page_shows(name: str, tmp_path: Path) -> None:
    root, expected = board_trees.make(name, tmp_path / "root"), board_trees.expected(name)
    async with door_hub(tmp_path / "data") as hub, hub.signed_in() as browser:
        key = await Operator(hub, browser).add_machine()
        async with door_agent(
            tmp_path / "agent", hub.url, key, sensor_root=str(root), disk_path=str(tmp_path)
        ) as agent:

            async def is_shown() -> bool:
                return await reported(browser, key.id) == expected

            await until_answered(is_shown)
            card = board.card(Reader("en", "light", "Asia/Jakarta", 0), msgspec.to_builtins(expected))
            shown = await lines(browser, key.id)
            assert shown == {line.name: line.value for _, part in [("", card.facts), *card.parts] for line in part}
            sample = board_trees.described(name)["sample"]

            async def is_measured() -> bool:
                readings = (await browser.get(f"/api/v2/rvms/{key.id}")).json()["data"]["readings"] or {}
                return bool({member: readings.get(member) for member in sample} == sample)

            await until_answered(is_measured)

            # Another board comes with the next link, as after a repair.
            shutil.rmtree(root)
            await agent.stop()
            board_trees.make("orin_nx_jetpack6", root)
            await agent.start()

            async def is_the_other() -> bool:
                return await reported(browser, key.id) == board_trees.expected("orin_nx_jetpack6")

            await until_answered(is_the_other)
            assert "Traceback" not in hub.written + agent.log
