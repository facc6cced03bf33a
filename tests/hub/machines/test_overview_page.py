"""The page of one machine and the forms beside it, against machines, visitors and addresses that mean harm."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from hub.machines.page import until_from
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import declared, facts_of_hello

UNTIL = json.loads((Path(__file__).parents[2] / "dashboard/fixtures/until.json").read_text("utf-8"))


@pytest.mark.parametrize(("now", "zone", "then"), UNTIL)
def test_until_tomorrow_is_seven_where_the_machine_stands_also_when_the_clocks_change(
    now: str, zone: str, then: str
) -> None:
    at, wanted = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (now, then)]
    assert until_from("tomorrow", at, zone) == wanted


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


@pytest.mark.parametrize("offset", [251_606_855_410.1, -63_931_042_191.2])
async def test_a_machine_with_an_impossible_clock_still_has_its_page(hub: ApiHub, offset: float) -> None:
    one = hub.machines["one"]
    hub.context.announce.observe(
        *facts_of_hello(
            rvm_id=one,
            at=hub.context.clock(),
            epoch=1,
            agent_version="1",
            boot_id="b",
            capabilities=(),
            hardware=None,
            timezone="America/New_York",
            config_version=0,
            clock_offset_s=offset,
            ip=None,
            simulated=False,
        )
    )
    async with hub.of("viewer") as client:
        assert (await client.get(f"/machines/{one}")).status_code == 200


async def names_on_the_page(hub: ApiHub, reader: str, rvm_id: int) -> set[str]:
    async with hub.of(reader) as client:
        page = (await client.get(f"/machines/{rvm_id}")).text
    found = re.search(r'data-names="([^"]*)"', page)
    assert found is not None
    return set(json.loads(html.unescape(found[1])).values())


async def test_a_page_names_only_people_who_can_have_acted_on_its_machine(hub: ApiHub) -> None:
    one, two = hub.machines["one"], hub.machines["two"]
    await hub.add_user("other", "technician", (two,))
    assert await names_on_the_page(hub, "technician", one) == {"admin", "operator", "technician"}
    assert await names_on_the_page(hub, "viewer", two) == {"admin", "operator", "other"}
    await hub.context.announce(
        *declared(
            rvm_id=one,
            status="full",
            special_status=None,
            capacity=9,
            since=hub.context.clock(),
            by=f"user:{hub.users['other']}",
        )
    )
    assert "other" in await names_on_the_page(hub, "viewer", one), "who set the status before is still named"


@pytest.mark.parametrize("what", ["enabled", "DISABLE", "link2", "%2e%2e"])
async def test_only_the_two_words_decide_about_a_user(hub: ApiHub, what: str) -> None:
    viewer = hub.users["viewer"]
    async with hub.browser(await hub.add_session("admin")) as admin:
        await admin.patch(f"/api/v2/users/{viewer}", json={"disabled": True})
        assert (await admin.post(f"/admin/users/{viewer}/{what}")).status_code == 404
        assert (await admin.get(f"/api/v2/users/{viewer}")).json()["data"]["disabled"] is True


async def test_a_user_is_named_by_plain_digits_only(hub: ApiHub) -> None:
    async with hub.browser(await hub.add_session("admin")) as admin:
        assert (await admin.post("/admin/users/\u0661/link")).status_code == 404
