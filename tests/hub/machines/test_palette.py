"""The palette: what somebody may go to, as links."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.routing import Route

from db.records import MachineRow
from hub.machines.find_page import PAGES
from hub.model.changes import Observed, Patch
from hub.routes import page_routes
from tests.support.api_hub import ApiHub


async def listed(browser: httpx.AsyncClient, of: str = "") -> list[tuple[str, str]]:
    answer = await browser.get(f"/machines/palette?rvm={of}")
    assert answer.status_code == 200
    return re.findall(r'<a href="([^"]*)" tabindex="-1"><svg.*?</svg><bdi>([^<]*)</bdi>', answer.text)


async def test_pages_and_machines_are_those_somebody_may_see(hub: ApiHub) -> None:
    async with hub.browser(await hub.add_session("admin")) as admin:
        found = await listed(admin)
        assert [address for address, _ in found] == [*(page[1] for page in PAGES), "/machines/1", "/machines/2"]
        for address in dict(found):
            assert (await admin.get(address)).status_code == 200
    async with hub.browser(await hub.add_session("technician")) as technician:
        addresses = dict(await listed(technician))
        assert "/machines/1" in addresses
        assert "/machines/2" not in addresses
        assert "/admin/users" not in addresses


@pytest.mark.parametrize("name", ["admin", "operator", "technician", "viewer"])
async def test_every_page_that_a_role_may_open_is_found(hub: ApiHub, name: str) -> None:
    """Pages of no one machine: whole ones, that are no form on the way elsewhere."""
    whole = [route for route in page_routes() if isinstance(route, Route) and "{" not in route.path]
    of_no_machine = [route.path for route in whole if not getattr(route.endpoint, "entrance", False)]
    async with hub.browser(await hub.add_session(name)) as somebody:
        answers = {path: await somebody.get(path) for path in of_no_machine}
        open_to = {path for path, answer in answers.items() if answer.status_code == 200 and "</html>" in answer.text}
        found = {address for address, _ in await listed(somebody) if not re.match(r"/machines/\d", address)}
        menu = set(re.findall(r'<a (?:class="[^"]*" )?href="(/[^"#?]*)"', (await somebody.get("/admin/tokens")).text))
    locked = {"/admin", "/machines/add", "/machines/import"} if name != "admin" else set()
    assert open_to - locked <= found <= open_to
    assert menu & open_to <= found, "what stands in the menu is found too"


async def test_of_an_open_machine_the_tabs_and_actions_come_first(hub: ApiHub) -> None:
    async with hub.browser(await hub.add_session("operator")) as operator:
        found = await listed(operator, "1")
        assert found[0] == ("/machines/1", "Overview")
        assert ("/machines/1/do/sync_timezone", "Sync time zone…") in found
        assert "/machines/1/do/reboot" not in dict(found), "it needs the machine online"
        for wrong in ("99", "x", "-1"):
            assert (await listed(operator, wrong))[0][0] == "/"
    async with hub.browser(await hub.add_session("technician")) as technician:
        assert (await listed(technician, "2"))[0][0] == "/", "a machine of others is told to nobody"
    async with hub.browser(await hub.add_session("viewer")) as viewer:
        assert "/machines/1/do/sync_timezone" not in dict(await listed(viewer, "1"))


async def test_a_machine_that_is_off_has_no_shape_of_one_that_works(hub: ApiHub) -> None:
    """Where one icon is all that is said of it: in the palette, and below the map."""
    for number in (1, 2):
        await hub.context.announce(Patch(MachineRow, number, {"latitude": -6.1, "longitude": 106.8 + number}))
    hub.context.announce.observe(Observed(1, {"connection": "offline", "connection_since": hub.context.clock()}))
    shapes = {1: "offline", 2: "never"}
    async with hub.browser(await hub.add_session("viewer")) as viewer:
        for path in ("/machines/palette", "/map"):
            text = (await viewer.get(path)).text
            for number, shape in shapes.items():
                link = text[text.rindex(f'href="/machines/{number}"') :].partition("</a>")[0]
                assert re.findall(r"<use href=\"#(\w+)", link) == [shape], (path, link)
