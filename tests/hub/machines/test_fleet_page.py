"""The Machines page of a fleet that fills more than one page: its rows in parts, its counts of everything."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from db.records import MachineRow, UserMachineRow
from hub.attention.page import MOST_TROUBLES
from hub.model import changes as c
from hub.model.changes import Drop, Observed
from protocol.kinds import Status
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import declared
from tests.support.page_visitor import browser as visitor

MACHINES = 130


@pytest.fixture
def hub(door: ApiHub) -> ApiHub:
    return door


async def fill(hub: ApiHub, statuses: dict[int, Status]) -> list[int]:
    """Machines beside the two there are, so that there are MACHINES; the status of those named by number."""
    ids = [await hub.add_machine(f"RVM-{number}") for number in range(1, MACHINES - 1)]
    for rvm_id in list(hub.context.fleet.machines):
        hub.context.announce.observe(Observed(rvm_id, {"connection": "live"}))
    for number, status in statuses.items():
        await declare(hub, ids[number - 1], status)
    return ids


async def declare(hub: ApiHub, rvm_id: int, status: Status) -> None:
    changed = declared(
        rvm_id=rvm_id, status=status, special_status=None, capacity=0, since=hub.context.clock(), by="user:1"
    )
    await hub.context.announce(*changed)


async def shown(browser: httpx.AsyncClient, address: str) -> tuple[list[int], str]:
    """The machines of the table in their order, and the whole page."""
    answer = await browser.get(address, headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    rows = re.findall(r'<tr data-id="([1-9][0-9]*)"', answer.text)
    return [int(row) for row in rows], answer.text


async def test_a_great_fleet_is_read_page_by_page_and_counted_whole(hub: ApiHub) -> None:
    await fill(hub, {120: "error", 121: "full"})
    async with hub.browser(await hub.add_session("viewer")) as browser:
        first, page = await shown(browser, "/")
        assert len(first) == 100
        assert '<span class="muted" id="total">130</span>' in page
        assert "1–100 of 130" in page
        assert 'rel="next" href="/?page=2"' in page
        assert '<span class="muted" data-total>2</span>' in page
        assert "RVM-120" in page.split('id="machines"', maxsplit=1)[0], "it needs somebody, wherever its row stands"
        second, page = await shown(browser, "/?page=2")
        assert len(second) == 30
        assert not set(first) & set(second)
        assert 'rel="prev" href="/"' in page
        assert (await shown(browser, "/?page=99"))[0] == second, "the last page there is"
        found, page = await shown(browser, "/?q=rvm-12")
        assert len(found) == 10
        assert 'id="pages"' not in page
        worst, page = await shown(browser, "/?sort=status&page=1")
        assert worst[:2] == [122, 123]
        assert 'href="/?sort=status&amp;page=2"' in page


@pytest.mark.parametrize("sort", ["machine", "-machine", "cpu", "-cpu", "status", "-status"])
async def test_the_form_keeps_the_way_of_an_order_without_a_script(hub: ApiHub, sort: str) -> None:
    async with hub.browser(await hub.add_session("viewer")) as browser:
        _, page = await shown(browser, f"/?sort={sort}")
        assert re.findall(r'<option value="([^"]+)" selected>', page) == [sort]
        orders = page.partition('name="sort"')[2].partition("</select>")[0]
        others = re.findall(r'<option value="(-?(?:cpu|status))">', orders)
        assert others == [first for first in ("status", "-cpu") if first.strip("-") != sort.strip("-")]


async def tag(hub: ApiHub, rvm_id: int, site: str | None, *tags: str) -> None:
    values = {"location_description": site, "tags": tags or None, "updated_at": hub.context.clock()}
    await hub.context.announce(c.Patch(MachineRow, rvm_id, values))


def heads(page: str) -> list[tuple[str, str]]:
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(r'data-group="[^"]*"><th [^>]*><bdi>([^<]*)</bdi> <small>([^<]*)</small>', table)


async def test_tags_filter_and_group_the_machines(hub: ApiHub) -> None:
    ids = await fill(hub, {5: "error"})
    await tag(hub, ids[0], "Pasar Baru", "mall", "west")
    await tag(hub, ids[1], "Pasar Baru", "west")
    await tag(hub, ids[2], "Aula", "mall & more")
    async with hub.browser(await hub.add_session("viewer")) as browser:
        found, page = await shown(browser, "/?tag=west")
        assert found == ids[:2]
        chip = r'<a class="chip" href="([^"]*)" data-member="tag" data-value="([^"]*)"( aria-current="true")?>'
        chips = re.findall(chip, page)
        assert chips == [
            ("/", "west", ' aria-current="true"'),
            ("/?tag=mall", "mall", ""),
            ("/?tag=mall+%26+more", "mall &amp; more", ""),
        ]
        assert (await shown(browser, "/?tag=mall+%26+more"))[0] == [ids[2]]
        found, page = await shown(browser, "/?group=site")
        assert found[:3] == [ids[2], ids[0], ids[1]]
        assert heads(page) == [("Aula", "1"), ("Pasar Baru", "2"), ("No site", "127")]
        assert 'rel="next" href="/?group=site&amp;page=2"' in page
        assert heads((await shown(browser, "/?group=site&page=2"))[1]) == [("No site", "127")]
        assert heads((await shown(browser, "/?group=tag&q=rvm-"))[1])[:2] == [("mall", "1"), ("mall &amp; more", "1")]
        assert heads((await shown(browser, "/?group=status"))[1]) == [("Error", "1"), ("Active", "129")]
        assert heads((await shown(browser, "/"))[1]) == []
        part = (await browser.get("/machines/parts?of=fleet-tags")).text
        assert part.count('data-member="tag"') == 3


async def test_what_changes_is_on_the_next_page_at_once(hub: ApiHub) -> None:
    async with hub.browser(await hub.add_session("admin")) as browser:
        statuses: tuple[Status, ...] = ("error", "active", "full")
        for rvm_id in (1, 2):
            hub.context.announce.observe(Observed(rvm_id, {"connection": "live"}))
        for status in statuses:
            await declare(hub, 1, status)
            _, page = await shown(browser, "/")
            count = re.search(rf'data-count="{status}".*?<b>(\d+)</b>', page)
            assert count is not None
            assert count[1] == ("2" if status == "active" else "1")
            help_page = (await browser.get("/help")).text
            assert ("(1) " in help_page) is (status != "active")


async def test_of_very_many_that_need_somebody_all_are_counted_and_the_worst_are_named(hub: ApiHub) -> None:
    error: Status = "error"
    await fill(hub, dict.fromkeys(range(1, 121), error))
    async with hub.browser(await hub.add_session("operator")) as browser:
        browser.headers["Accept-Language"] = "id"
        _, page = await shown(browser, "/")
    attention = page[page.index('id="attention"') : page.index("</section>", page.index('id="attention"'))]
    assert attention.count("<li data-key") == MOST_TROUBLES
    assert "Tampilkan semua 120" in attention
    assert "20 mesin lagi perlu perhatian" in attention


async def test_a_technician_counts_the_own_machines_alone(hub: ApiHub) -> None:
    ids = await fill(hub, {5: "error"})
    async with hub.browser(await hub.add_session("admin")) as admin:
        assert "(1) " in (await shown(admin, "/"))[1]
    async with hub.browser(await hub.add_session("technician")) as technician:
        rows, page = await shown(technician, "/")
        assert rows == [1]
        assert "(1) " not in page
        assert "RVM-5" not in page
        await hub.context.announce(
            c.Drop(UserMachineRow, where=(("user_id", "=", hub.users["technician"]),)),
            *(c.Put(UserMachineRow(user_id=hub.users["technician"], rvm_id=number)) for number in (1, ids[4])),
        )
        rows, page = await shown(technician, "/")
        assert sorted(rows) == [1, ids[4]]
        assert "(1) " in page
        await hub.context.announce(Drop(MachineRow, ids[4]))
        assert (await shown(technician, "/"))[0] == [1]


@pytest.mark.parametrize(
    ("days", "language", "words"),
    [
        (1, "en", "Readings are kept for 1 day<"), (400, "en", "Readings are kept for 400 days<"),
        (1200, "id", "Pembacaan disimpan selama 1.200 hari<"),
    ],
)  # fmt: skip
async def test_the_foot_says_how_long_readings_are_kept(
    tmp_path: Path, sqlite_url: str, days: int, language: str, words: str
) -> None:
    async with api_hub(tmp_path, database_url=sqlite_url, samples_retention_days=days) as hub:
        await hub.add_user("viewer", "viewer")
        await hub.add_machine("one")
        async with await visitor(hub, "viewer", language) as somebody:
            assert words in (await somebody.get("/")).text.partition("<footer")[2]


@pytest.mark.parametrize(
    ("who", "language", "words"),
    [
        ("viewer", "en", "this machine was removed."),
        ("technician", "en", "this machine was removed, or is no longer assigned to you."),
        ("technician", "id", "mesin ini sudah dihapus, atau tidak lagi ditugaskan kepada Anda."),
    ],
)
async def test_who_lost_the_machine_of_an_open_page_reads_which_it_was(
    hub: ApiHub, who: str, language: str, words: str
) -> None:
    """A name that is still theirs is no news, and nobody learns whether there is another's."""
    async with await visitor(hub, who, language) as somebody:
        page = (await somebody.get("/", params={"gone": "RVM <7>"})).text
        assert f"<b><bdi>RVM &lt;7&gt;</bdi></b>: {words}" in page
        for theirs_or_none in ("one", " ", "RVM\u2028 7"):
            assert "<bdi>RVM" not in (page := (await somebody.get("/", params={"gone": theirs_or_none})).text)
            assert words not in page
        if who == "technician":
            assert words in (await somebody.get("/", params={"gone": "two"})).text


async def test_whose_last_machine_it_was_reads_so_too(hub: ApiHub) -> None:
    async with await visitor(hub, "technician") as technician, await visitor(hub) as admin:
        for rvm_id in list(hub.context.fleet.machines):
            await hub.context.announce(Drop(MachineRow, rvm_id))
        for somebody in (technician, admin):
            assert "<bdi>one</bdi></b>: this machine was removed" in (await somebody.get("/?gone=one")).text
