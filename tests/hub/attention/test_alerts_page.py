"""The Alerts page and the buttons at a trouble: what stands where, for whom, and what a press leaves in place."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from db.queries import samples
from db.records import MachineRow
from db.trouble_records import TroubleRow
from hub.attention import rules
from hub.attention.service import Acts
from hub.model.changes import Observed, Patch, Put
from hub.model.views import epoch_ms
from hub.web.http.download_slots import PreviewReads
from tests.hub.people.test_zones import LABELS, of_zone
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser
from tests.support.until import until, until_answered


@pytest_asyncio.fixture
async def full(door: ApiHub) -> AsyncIterator[ApiHub]:
    """Both machines live and full."""
    for rvm_id in (1, 2):
        door.context.announce.observe(Observed(rvm_id, {"connection": "live"}))
        await door.context.announce(Patch(MachineRow, rvm_id, {"status": "full", "capacity": 100}))
    machines = door.context.fleet.machines
    await until(lambda: all(set(machines[rvm_id].troubles) == {"full"} for rvm_id in (1, 2)))
    yield door


def later(hub: ApiHub) -> None:
    """The moment in which a press may be taken back on the spot is over."""
    acts = hub.context[Acts]._of
    for number, act in list(acts.items()):
        acts[number] = act._replace(at=act.at - rules.SHOWN - timedelta(seconds=1))


def number_of(hub: ApiHub, rvm_id: int = 1) -> int:
    return hub.context.fleet.machines[rvm_id].troubles["full"].id


async def press(client: httpx.AsyncClient, number: int, what: str, back: str = "/", **form: Any) -> httpx.Response:
    return await client.post(f"/alerts/{number}/{what}", data={"back": back, **form})


def row(text: str, number: int) -> str:
    """What stands at a trouble, without markup."""
    found = re.search(rf'id="t-{number}">(.*?)</div>', text, re.DOTALL)
    return words_of(found[1]) if found else ""


def words_of(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def badge(text: str) -> str:
    found = re.search(r'id="alarms"[^>]*>(\d+)', text)
    assert found is not None
    return found[1]


async def test_somebody_is_on_it_and_the_row_stays_where_it_is(full: ApiHub) -> None:
    number = number_of(full)
    async with await browser(full, "operator") as budi, await browser(full, "viewer") as tamu:
        assert row((await budi.get("/")).text, number).startswith("I'm on it Snooze…")
        answer = await press(budi, number, "take", seen="")
        assert answer.headers["location"] == f"/#t-{number}"
        text = (await budi.get("/")).text
        assert re.match(r"You are on it since \S+ Undo Release Snooze…", row(text, number)), row(text, number)
        seen = (await tamu.get("/")).text
        assert re.match(r"operator is on it since \S+$", row(seen, number)), "and a viewer has no buttons"
        assert (badge(text), badge(seen)) == ("2", "2")
        later(full)
        assert "Undo" not in row((await budi.get("/")).text, number)
        for place in (
            "/machines/1",
            f"/m/{full.context.fleet.machines[1].row.device_id}",
            "/alerts",
            "/alerts?tab=taken",
        ):
            assert "You are on it" in row((await budi.get(place)).text, number), place
    async with await browser(full, "viewer", "id") as tamu:
        assert "Ditangani operator" in row((await tamu.get("/")).text, number)


async def test_a_late_take_names_the_owner_beside_its_button_and_may_take_over(full: ApiHub) -> None:
    number = number_of(full)
    async with await browser(full, "operator") as budi, await browser(full, "admin") as sari:
        for client in (budi, sari):
            assert (await press(client, number, "take", seen="")).is_redirect
        words = row((await sari.get("/")).text, number)
        assert "operator was first and is on it." in words
        assert "Take over" in words
        await press(sari, number, "take", seen=str(full.users["operator"]))
        assert "admin is on it" in row((await budi.get("/")).text, number)
        await press(sari, number, "undo")
        assert "operator is on it" in row((await sari.get("/")).text, number), "whoever was on it is on it again"
        assert (await press(sari, number, "undo")).status_code == 409


async def test_alerts_of_machines_in_many_zones_are_in_one(full: ApiHub) -> None:
    """Of a morning's snooze alone the site's hour is offered, and named."""
    for rvm_id, zone in ((1, "Asia/Makassar"), (2, "Asia/Jayapura")):
        await of_zone(full, rvm_id, zone)
    async with await browser(full, "operator") as budi:
        for rvm_id in (1, 2):
            await press(budi, number_of(full, rvm_id), "snooze", choice="4h")
        for path in ("/alerts", "/alerts?tab=snoozed", "/"):
            part = (await budi.get(path)).text.partition("<main")[2].partition('id="machines"')[0]
            shown = re.sub(r'value="tomorrow"[^>]*>[^<]*', "", part)
            assert set(LABELS.findall(shown)) == {"WIB"}, path
        assert "Times in WIB" in (await budi.get("/alerts")).text.partition("</main>")[0]
        assert "Site: Empty it." in words_of((await budi.get("/alerts")).text), "what to do, and who does it"


async def test_a_snoozed_one_leaves_the_count_and_nothing_is_called_fine(full: ApiHub) -> None:
    number = number_of(full)
    async with await browser(full, "operator") as budi, await browser(full, "viewer") as tamu:
        answer = await press(budi, number, "snooze", choice="tomorrow", note="The truck comes at nine")
        assert answer.is_redirect, answer.text
        text = (await budi.get("/")).text
        assert badge(text) == "1"
        assert "Snoozed (1)" not in text, "for a moment it stays where it was pressed"
        assert "Undo" in row(text, number)
        assert "Snoozed (1)" in (await tamu.get("/")).text
        later(full)
        text = (await budi.get("/")).text
        words = row(text, number)
        assert re.match(
            r"Snoozed until tomorrow 07:00 \S+ by operator Note: The truck comes at nine – operator", words
        ), words
        assert "Snoozed (1)" in text
        await press(budi, number_of(full, 2), "snooze", choice="1h")
        later(full)
        text = (await budi.get("/")).text
        assert (badge(text), "(2)" in text.split("</title>")[0]) == ("0", False)
        assert "0 of 2 machines fine</span>" not in text
        assert "0 of 2 machines fine · 2 snoozed" in text
        assert "All 2 machines fine" not in text
        assert "Nothing needs attention." in (await budi.get("/alerts")).text
        assert row((await budi.get("/alerts?tab=snoozed")).text, number) == words
        machine = full.context.fleet.machines[1]
        await full.context.announce(Patch(MachineRow, 1, {"error_since": full.context.clock()}))
        await until(lambda: "error" in machine.troubles)
        assert badge((await budi.get("/")).text) == "1", "another cause is counted at once"
        await press(budi, number, "unsnooze")
        assert "Counted again." in row((await budi.get("/alerts")).text, number)


async def test_it_is_back_by_itself_at_the_time(full: ApiHub) -> None:
    number = number_of(full)
    async with await browser(full, "operator") as budi:
        await press(budi, number, "snooze", choice="1h")
        later(full)
        text = (await budi.get("/")).text
        ends = full.context.fleet.machines[1].troubles["full"].snoozed_until
        assert badge(text) == "1"
        assert ends is not None
        assert f'data-until="{epoch_ms(ends)}"' in text, "the page asks again then"
        assert f'data-until="{epoch_ms(ends)}"' in re.findall('id="map"[^>]*', (await budi.get("/map")).text)[0]
        soon = full.context.clock() + timedelta(milliseconds=300)
        where = (("rvm_id", "=", 1),)
        await full.context.announce(Patch(TroubleRow, number, {"snoozed_until": soon}, where))

        async def is_back() -> bool:
            return badge((await budi.get("/")).text) == "2"

        await until_answered(is_back)


async def test_what_is_over_says_when_who_and_what_was_done(full: ApiHub) -> None:
    number = number_of(full)
    async with await browser(full, "operator") as budi, await browser(full, "technician") as tono:
        assert (await press(budi, number, "note", note="Too early")).status_code == 409
        await press(budi, number, "take", seen="")
        await press(budi, number, "note", back="/alerts", note="Emptied")
        await full.context.announce(Patch(MachineRow, 1, {"status": "active", "capacity": 0}))
        await until(lambda: not full.context.fleet.machines[1].troubles)
        for client, whose in ((budi, "You were on it"), (tono, "operator was on it")):
            text = (await client.get("/alerts?tab=over")).text
            assert whose in text
            shown = words_of(text.partition("<main")[2].partition("</main>")[0])
            assert " on it" not in shown.replace(whose, ""), "nobody is, now that it is over"
            assert "Note: Emptied – operator" in row(text, number)
        assert (await press(tono, number, "note", back="/alerts?tab=over", note="Emptied twice")).is_redirect
        assert "Emptied twice – technician" in row((await budi.get("/alerts?tab=over")).text, number)
        assert (await press(budi, number, "take", seen="")).status_code == 409


async def test_a_machine_that_connected_when_it_was_added_was_not_in_trouble(door: ApiHub) -> None:
    """A fleet that was just added would fill the list of what is over."""
    began = door.context.clock() - timedelta(minutes=5)
    row = TroubleRow(rvm_id=1, cause="never", began_at=began, noticed_at=began)

    def lasted(seconds: int, **values: Any) -> Put[TroubleRow]:
        return Put(msgspec.structs.replace(row, ended_at=began + timedelta(seconds=seconds), **values))

    async with await browser(door, "operator") as budi:
        await door.context.announce(lasted(59))
        assert "No alert ended" in words_of((await budi.get("/alerts?tab=over")).text)
        await door.context.announce(
            lasted(3, note="A new board", note_by="operator"), lasted(60), lasted(3, cause="hot")
        )
        text = words_of((await budi.get("/alerts?tab=over")).text)
        assert text.count("Never connected") == 2, "one that was worked on, and one that took a minute"
        assert "Hot" in text


async def test_what_is_over_is_read_by_its_end_while_more_ends(door: ApiHub) -> None:
    now = door.context.clock()

    async def over(began: float, ended: float, cause: str = "hot", **more: Any) -> None:
        first, last = (now - timedelta(hours=hours) for hours in (began, ended))
        row = TroubleRow(rvm_id=1, cause=cause, began_at=first, noticed_at=first, ended_at=last, **more)
        await door.context.announce(Put(row))

    await over(90, 1, note="The first that began, the last that ended", note_by="operator")
    for number in range(110):
        await over(80 - number / 10, 79.9 - number / 10, note=f"No. {number}.", note_by="operator")
        await over(80 - number / 10, 80 - number / 10, "never")  # it connected at once: no line, and no place
    async with await browser(door, "operator") as budi:
        place, pages = "/alerts?tab=over", []
        while place:
            answer = await budi.get(place)
            pages.append(re.findall(r"<bdi>(?:No\. (\d+)\.|(The first that began))", answer.text))
            shown = html.unescape(answer.text)
            place = next(iter(re.findall(r'href="(/alerts[^"]*before=[^"]*)"', shown)), "")
            await over(0.5, 0.4, note="Meanwhile", note_by="operator")
        assert pages[0][0] == ("", "The first that began")
        assert [len(page) for page in pages] == [50, 50, 11]
        assert [int(number) for page in pages for number, _ in page if number] == [*reversed(range(110))]
        for wrong in ("12", "x-1", "1-x", "-", "9" * 17 + "-1", "0-0"):
            assert (await budi.get(f"/alerts?tab=over&before={wrong}")).status_code == 200, wrong


@pytest.mark.parametrize(("language", "words"), [("en", "for you already"), ("id", "sedang dihitung untuk Anda")])
async def test_a_second_preview_at_once_says_why_it_waits(full: ApiHub, language: str, words: str) -> None:
    """The limit that was typed is kept, and not called wrong."""
    mine = f"user:{full.users['operator']}"
    full.context[PreviewReads].begin(mine)
    async with await browser(full, "operator", language) as budi, full.of("operator") as program:
        place = "/alerts/rules?cause=hot&limit=71"
        text = (await budi.get(place)).text
        assert words in text
        assert 'value="71"' in text
        assert "aria-invalid" not in text
        refused = await program.get("/api/v2/alert-rules/hot/preview?limit=71")
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        full.context[PreviewReads].end(mine)
        assert words not in (await budi.get(place)).text


async def test_a_preview_asked_for_again_ends_the_first(full: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser no longer waits for it, and the second answer was that the first is worked out."""
    read, held, reads = samples.highest, asyncio.Event(), list[float]()

    async def highest(*asked: Any) -> Any:
        reads.append(len(reads))
        if len(reads) < 3:
            held.set()
            await asyncio.Event().wait()
        return await read(*asked)

    monkeypatch.setattr(samples, "highest", highest)
    async with await browser(full, "operator") as budi, await browser(full, "admin") as other:
        pressed = []
        for limit in (71, 72):
            held.clear()
            pressed.append(asyncio.create_task(budi.get(f"/alerts/rules?cause=hot&limit={limit}")))
            await held.wait()
        last = await budi.get("/alerts/rules?cause=hot&limit=73")
        assert "data-result" in last.text
        assert 'value="73"' in last.text
        for one in pressed:
            ended = await one
            assert "for you already" in ended.text
            assert "data-result" not in ended.text
        assert "data-result" in (await other.get("/alerts/rules?cause=hot&limit=71")).text
    assert full.context[PreviewReads]._newest == {}


async def test_viewers_and_strangers_change_nothing(full: ApiHub) -> None:
    async with await browser(full, "viewer") as tamu, await browser(full, "technician") as tono:
        assert (await press(tamu, number_of(full), "take", seen="")).status_code == 403
        assert (await press(tono, number_of(full, 2), "take", seen="")).status_code == 404
        assert (await press(tono, number_of(full), "nonsense")).status_code == 404
        assert (await press(tono, number_of(full), "snooze", choice="never")).status_code == 422
        text = (await tono.get("/alerts")).text
        assert (f't-{number_of(full)}"' in text, f't-{number_of(full, 2)}"' in text) == (True, False)
    assert all(one.troubles["full"].owner is None for one in full.context.fleet.machines.values())


@pytest.mark.parametrize(
    ("language", "head", "why", "back"),
    [("en", "Not done", "This trouble is over.", "Back"), ("id", "Tidak dilakukan", "sudah selesai", "Kembali")],
)
async def test_a_press_that_comes_too_late_is_no_error_of_the_hub(
    full: ApiHub, language: str, head: str, why: str, back: str
) -> None:
    number = number_of(full)
    async with await browser(full, "operator", language) as budi:
        await press(budi, number, "take", seen="", back="/alerts")
        await full.context.announce(Patch(MachineRow, 1, {"status": "active", "capacity": 0}))
        await until(lambda: not full.context.fleet.machines[1].troubles)
        for what in ("undo", "snooze", "take"):
            answer = await press(budi, number, what, back="/alerts", choice="1h", seen="")
            assert answer.status_code == 409
            assert f"<h1>{head}</h1>" in answer.text
            assert why in answer.text
            assert f'href="/alerts">{back}</a>' in answer.text
        assert "elsewhere" not in (await press(budi, number, "take", back="//elsewhere.example", seen="")).text


async def test_an_outage_is_taken_and_taken_back_as_one(door: ApiHub) -> None:
    more = [await door.add_machine(f"RVM-{number}") for number in range(3)]
    await door.lose(more)
    machines = door.context.fleet.machines
    first = machines[more[0]].troubles["offline"].id
    async with await browser(door, "operator") as budi:
        await press(budi, first, "take", seen="", outage="1")
        assert {machines[rvm_id].troubles["offline"].owner for rvm_id in more} == {"operator"}
        for place in ("/", "/alerts"):
            text = (await budi.get(place)).text
            assert "You are on it" in row(text, first), place
            assert "Operator: Check what they share" in words_of(text), "what to do, and who does it"
        await press(budi, first, "undo", outage="1")
        assert {machines[rvm_id].troubles["offline"].owner for rvm_id in more} == {None}


async def test_an_outage_that_is_over_is_one_line_that_opens_to_its_machines(door: ApiHub) -> None:
    more = [await door.add_machine(f"RVM-{number}") for number in range(60)]
    began = door.context.clock() - timedelta(hours=2)
    rows = [
        TroubleRow(rvm_id=rvm_id, cause="offline", began_at=began + timedelta(seconds=number), noticed_at=began,
                   ended_at=began + timedelta(minutes=30), owner_id=1, owner="Budi")
        for number, rvm_id in enumerate(more)
    ]  # fmt: skip
    await door.context.announce(*(Put(one) for one in rows))
    async with await browser(door, "operator") as budi, await browser(door, "technician") as tono:
        text = (await budi.get("/alerts?tab=over")).text
        assert "60 machines were offline Began:" in words_of(text)
        assert "lasted 30 min · Budi was on it" in words_of(text)
        assert "RVM-5" not in text
        place = html.unescape(next(iter(re.findall(r'href="(/alerts[^"]*outage=[^"]*)"', text))))
        seen: list[str] = []
        while place:
            page = (await budi.get(place)).text
            assert "60 machines were offline" in words_of(page), "which outage it is"
            part = html.unescape(re.findall(r'data-part="(/alerts[^"]*)"', page)[0])
            assert part.replace("/parts", "").partition("&reader=")[0] == place
            seen += re.findall(r"<bdi>(RVM-\d+)</bdi>", page)
            place = html.unescape(next(iter(re.findall(r'href="(/alerts[^"]*before=[^"]*)"', page)), ""))
        assert sorted(seen) == sorted(f"RVM-{number}" for number in range(60))
        assert "were offline" not in (await tono.get("/alerts?tab=over")).text, "of none of these machines"
        for rvm_id in more:
            await door.context.announce(Patch(MachineRow, rvm_id, {"location_description": "Plaza <1>"}))
        assert "60 machines at Plaza <1> were offline" in words_of((await budi.get("/alerts?tab=over")).text)


async def test_a_row_counts_its_machines_alerts_and_leads_to_them_alone(full: ApiHub) -> None:
    def counted(text: str) -> dict[str, str | None]:
        found = re.findall(r'<a href="/alerts\?rvm=(\d+)"( hidden)?>.*?<b>(\d+)</b></a>', text)
        return {rvm_id: None if hidden else count for rvm_id, hidden, count in found}

    async with await browser(full, "operator") as budi, await browser(full, "technician") as tono:
        assert counted((await budi.get("/")).text) == {"1": "1", "2": "1", "0": None}, "0: of the row that is cloned"
        text = (await budi.get("/alerts?rvm=1")).text
        assert 'href="/machines/1"' in text
        assert "/machines/2" not in text
        assert "Only of this machine:" in text
        assert 'href="/alerts?tab=snoozed&amp;rvm=1"' in text, "the other tabs too"
        part = html.unescape(re.findall(r'data-part="(/alerts[^"]*)"', text)[0])
        assert "/machines/2" not in (await budi.get(f"{part}&of=alerts")).text, "as it is drawn again"
        back = html.unescape(re.findall(r'name="back" value="([^"]*)"', text)[0])
        assert back == "/alerts?rvm=1"
        assert (await press(budi, number_of(full), "snooze", back, choice="1h")).headers["location"].startswith(back)
        later(full)
        assert counted((await budi.get("/")).text) == {"1": None, "2": "1", "0": None}
        assert [(await budi.get(f"/alerts?rvm={wrong}")).status_code for wrong in ("999", "x")] == [404, 404]
        reached = {number: (await tono.get(f"/alerts?rvm={number}")).status_code for number in (1, 2)}
        assert reached == {1: 200, 2: 404}, "of no machine that somebody does not reach"
        async with full.of("admin") as admin:
            assert (await admin.delete("/api/v2/rvms/1")).status_code == 204
        gone = await budi.get(f"{part}&of=alerts")
        assert (gone.status_code, "/machines/1" in gone.text, "/machines/2" in gone.text) == (200, False, True)
        assert (await budi.get("/alerts?rvm=1")).status_code == 404
