"""The menu of a machine's row: the same places as on its page, locked for the same reasons."""

from __future__ import annotations

import re

import httpx
import pytest

from dashboard import actions
from hub.machines.tab import TABS
from tests.support.api_hub import ApiHub

ITEM = re.compile(r'<a role="menuitem"[^>]*?(?: href="([^"]*)")?>([^<]*)(?:<small>([^<]*)</small>)?</a>')


async def items(browser: httpx.AsyncClient, rvm_id: int = 1) -> dict[str, tuple[str, str]]:
    """By what is written: where it leads, and why it does not."""
    answer = await browser.get(f"/machines/{rvm_id}/parts?of=row-menu")
    assert answer.status_code == 200
    return {words: (address, why) for address, words, why in ITEM.findall(answer.text)}


@pytest.mark.parametrize("role", ["admin", "operator", "technician", "viewer"])
async def test_it_leads_to_what_the_machines_page_leads_to(hub: ApiHub, role: str) -> None:
    async with hub.browser(await hub.add_session(role)) as somebody:
        found = await items(somebody)
        page = (await somebody.get("/machines/1")).text
        leads = [address for address, _ in found.values() if address]
        assert leads[-len(TABS) :] == [f"/machines/1{ending}" for _, ending in TABS]
        for address in leads:
            assert f'href="{address}"' in page or address.endswith("/do/sync_timezone"), address
        locked = {words: why for words, (address, why) in found.items() if not address}
        if role == "viewer":
            assert len(locked) == len(actions.WAYS) + len(actions.ACTIONS)
            assert set(locked.values()) == {"You need the role Operator for this"}
        else:
            online = "Needs the machine online"
            assert locked == {"Open terminal": online, "Restart services…": online, "Reboot machine…": online}


async def test_a_machine_of_others_has_none(hub: ApiHub) -> None:
    async with hub.browser(await hub.add_session("technician")) as technician:
        assert (await technician.get("/machines/2/parts?of=row-menu")).status_code == 404


@pytest.mark.parametrize("connection", ["live", "late", "offline", "never"])
def test_only_a_terminal_needs_the_machine_now(connection: str) -> None:
    ways = {way.name: way.locked for way in actions.ways({"connection": connection}, lambda _: True)}
    away = "online" if connection in ("offline", "never") else ""
    assert ways == {"status.change": "", "terminal.open": away, "backup.now": ""}
