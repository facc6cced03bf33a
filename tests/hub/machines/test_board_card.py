"""A machine's report of its board: into the row, onto its page in both languages, REST, and the list of troubles."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hub.machines import rules
from protocol.board import Board
from protocol.messages import BoardReport
from tests.device import board_trees
from tests.support.api_hub import ApiHub, api_hub
from tests.support.page_visitor import browser


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


async def report(hub: ApiHub, board: Board) -> None:
    machine = hub.context.fleet.machines[1]
    await hub.context.announce(*rules.board_reported(machine, BoardReport(board=board), hub.context.clock()))


async def shown(hub: ApiHub, path: str = "/machines/1", language: str = "en") -> str:
    async with await browser(hub, "admin", language) as client:
        page = (await client.get(path)).text
    section = page[page.index('id="board"') : page.index("</section>", page.index('id="board"'))]
    return re.sub(r"<[^>]*>", " ", section).replace("\u202f", " ")


async def test_a_computer_of_which_there_is_nothing_to_say_shows_no_card(hub: ApiHub) -> None:
    await report(hub, Board())
    async with await browser(hub) as client:
        page = (await client.get("/machines/1")).text
    assert re.search(r'<section[^>]* id="board"[^>]* hidden>', page)


async def test_a_machine_that_reported_none_shows_no_card(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        page = (await client.get("/machines/1")).text
    assert re.search(r'<section[^>]* id="board"[^>]* hidden>', page)


async def test_the_page_and_its_part_show_what_was_reported(hub: ApiHub) -> None:
    await report(hub, board_trees.expected("agx_orin_jetpack5"))
    english = await shown(hub)
    for words in ("Power mode", "50W", "VDD_GPU_SOC", "3.4 W", "mmcblk0 (eMMC)", "90 % of its life used", "ago)"):
        assert words in english
    assert "90 % umur pakai sudah habis" in await shown(hub, language="id")
    part = await shown(hub, "/machines/1/parts?part=board")
    assert "90 % of its life used" in part


async def test_rest_has_the_report_and_the_list_how_worn_the_disk_is(hub: ApiHub) -> None:
    await report(hub, board_trees.expected("agx_orin_jetpack5"))
    async with hub.of("admin") as admin:
        one = (await admin.get("/api/v2/rvms/1")).json()["data"]
        listed = (await admin.get("/api/v2/rvms")).json()["data"]
    absent = {"spare": None, "celsius": None, "reason": None}
    assert one["board_report"]["disks"] == [{"name": "mmcblk0", "kind": "emmc", "worn": 90.0, **absent}]
    assert one["board_report_at"] is not None
    assert [(row["id"], row["disk_worn"]) for row in listed if row["disk_worn"]] == [(1, 90.0)]
    assert all("board_report" not in row for row in listed)


async def test_a_worn_disk_is_listed_as_needing_somebody(hub: ApiHub) -> None:
    await report(hub, board_trees.expected("agx_orin_jetpack5"))
    async with await browser(hub) as client:
        first = (await client.get("/")).text
        own = (await client.get("/machines/1")).text
    assert "disk_worn" in first
    assert "Check that there is a recent backup, then replace the disk." in own
