"""Parts of pages: drawn as the page draws them, for whom the page is, and not sent twice."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboard import pages
from dashboard.reader import Reader
from db.records import CommandRow, MachineRow
from hub.model.changes import Patch, Put
from hub.model.views import machine_view
from hub.routes import OF_MACHINE
from hub.web.http.layers import CALLED
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser
from tests.support.until import until

TOKEN = re.compile(r'(name="csrf_token" value=")[0-9a-f]+')
PART = re.compile(r'<\w+ [^>]*\bid="([\w-]+)"[^>]*\bdata-part="([^"]+)"')
PAGES = (
    "/",
    "/alerts",
    "/alerts/rules",
    "/machines/1",
    "/machines/1/settings",
    "/admin/settings",
    "/machines/1/remote",
    "/jobs",
    "/jobs?state=open&rvm=1&group=g",
    "/jobs/c1",
)


async def drafted(hub: ApiHub) -> None:
    now = hub.context.clock()
    await hub.context.announce(
        Put(CommandRow(
                id="c1", rvm_id=1, name="reboot", args={}, state="queued", issued_by="user:1", issued_at=now,
                expires_at=now + timedelta(hours=24), group_id="g",
            ))
    )  # fmt: skip


async def troubled(hub: ApiHub) -> None:
    """Every machine should have connected by now."""
    machines, added = hub.context.fleet.machines, hub.context.clock() - timedelta(hours=1)
    await hub.context.announce(*(Patch(MachineRow, rvm_id, {"created_at": added}) for rvm_id in machines))
    await until(lambda: all(machine.troubles for machine in machines.values()))


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("path", PAGES)
async def test_a_part_is_drawn_as_its_page_draws_it(door: ApiHub, path: str, language: str) -> None:
    await drafted(door)
    await troubled(door)
    async with await browser(door, "operator", language) as client:
        page = TOKEN.sub(r"\1", (await client.get(path)).text)
        found = PART.findall(page)
        assert found
        for name, address in found:
            assert address.startswith(CALLED), "the policy of our pages lets a script ask for it"
            answer = await client.get(f"{html.unescape(address)}{'&' if '?' in address else '?'}of={name}")
            assert answer.status_code == 200
            assert f'id="{name}"' in answer.text
            assert answer.text in page, name


@pytest.mark.parametrize("path", ["/", "/alerts", "/jobs", "/machines/1", "/machines/1/remote"])
async def test_an_open_page_stays_in_its_language_and_zone_whatever_is_chosen_elsewhere(
    door: ApiHub, path: str
) -> None:
    """Else one list would have times of two zones, and words of two languages."""
    await drafted(door)
    await troubled(door)
    async with await browser(door, "operator", "en") as client, door.of("operator") as elsewhere:
        page = TOKEN.sub(r"\1", (await client.get(path)).text)
        lines = html.unescape((await client.get("/events")).text)
        asked = json.loads(lines.partition('data-asked="')[2].partition('}"')[0] + "}")
        older = (await client.get("/events/lines", params=asked)).text
        other = {"language": "id", "timezone": "Asia/Jayapura"}
        assert (await elsewhere.patch("/api/v2/auth/me", json=other)).is_success
        for name, address in PART.findall(page):
            at = html.unescape(address)
            assert (await client.get(f"{at}{'&' if '?' in at else '?'}of={name}")).text in page, name
        assert (await client.get("/events/lines", params=asked)).text == older
        assert 'lang="id"' in (await client.get(path)).text


async def test_an_open_page_shows_nothing_of_who_signed_in_after_it_in_the_same_browser(door: ApiHub) -> None:
    await troubled(door)
    async with await browser(door, "admin") as before, await browser(door, "technician") as after:
        addresses = [html.unescape(at) for _, at in PART.findall((await before.get("/")).text)]
        assert addresses
        for address in addresses:
            assert (await after.get(address)).headers["location"].startswith("/login")
        lines = html.unescape((await before.get("/events")).text).partition('data-asked="')[2]
        asked = json.loads(lines.partition('}"')[0] + "}")
        assert (await after.get("/events/lines", params=asked)).status_code == 303


async def test_several_come_at_once_and_the_same_is_only_named(door: ApiHub) -> None:
    await troubled(door)
    async with await browser(door, "operator") as client:
        address = f"/machines/1/parts?of={'+'.join(OF_MACHINE)}+nonsense"
        answer = await client.get(address)
        assert all(f'id="{name}"' in answer.text for name in OF_MACHINE)
        assert set(re.findall(r'name="csrf_token" value="([^"]*)"', answer.text)) == {""}
        again = await client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.text) == (304, "")
        assert (await client.get("/machines/1/parts?of=nonsense")).text == ""


async def test_every_part_of_a_machine_has_the_view_that_its_page_has(
    door: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    pieces = pages.pieces

    def seeing(template: str, reader: Reader, **values: Any) -> Iterator[str]:
        seen[template] = values["m"]
        return pieces(template, reader, **values)

    monkeypatch.setattr(pages, "pieces", seeing)
    await troubled(door)
    async with await browser(door, "operator") as client:
        await client.get(f"/machines/1/parts?of={'+'.join(OF_MACHINE)}")
        await client.get("/machines/1/settings/parts?of=applied")
    assert len(seen) == len(OF_MACHINE) + 1
    for template, view in seen.items():
        assert view == machine_view(door.context.fleet.machines[1], times="ms"), template


async def test_a_part_is_for_whom_its_page_is(door: ApiHub) -> None:
    async with await browser(door, "technician") as client:
        assert (await client.get("/machines/2/parts?of=zone")).status_code == 404
    async with door.client() as client:
        answer = await client.get("/machines/1/parts?of=zone", follow_redirects=False)
        assert (answer.status_code, urlsplit(answer.headers["location"]).path) == (303, "/login")
