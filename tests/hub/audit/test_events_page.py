"""The record as pages: without script, in both languages, as far as each may know it."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from dashboard.event_lines import Line, event_line
from db.queries import events
from hub.audit import page as events_page
from hub.model.changes import EventHappened
from hub.web.shell import fleet_digest
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[31mred", "\u202ecod.exe", "{{7*7}}")


async def happen(hub: ApiHub, code: str = "machine.event", rvm_id: int | None = 1, ago: float = 0, **more: Any) -> None:
    at = hub.context.clock() - timedelta(seconds=ago)
    said: dict[str, Any] = {"actor": "machine:1", "params": {"code": "door.open", "params": {}}}
    await hub.context.announce(EventHappened(at=at, code=code, rvm_id=rvm_id, **{**said, **more}))


async def page(hub: ApiHub, path: str, who: str = "admin", language: str = "en") -> str:
    async with await browser(hub, who, language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("path", ["/events", "/machines/1/events", "/events?kind=status&q=x&from=2026-01-01&to=bad"])
async def test_a_page_is_whole_in_both_languages(door: ApiHub, path: str, language: str) -> None:
    await happen(door, ago=5)
    shown = await page(door, path, language=language)
    assert f'<html lang="{language}"' in shown
    assert shown.count("<h1") == 1
    assert not re.search(r"<script(?![^>]* src=)", shown)


async def test_a_line_shows_when_what_who_and_where(door: ApiHub) -> None:
    boss = door.users["admin"]
    before, after = ({"status": s, "special_status": None, "capacity": 0} for s in ("active", "maintenance"))
    params = {"reason": "Ganti sensor"}
    await happen(door, "status.changed", actor=f"user:{boss}", params=params, before=before, after=after)
    job = {"command_id": "1a2-ff", "name": "ping", "args": {}}
    await happen(door, "command.issued", actor=f"user:{boss}", params=job)
    shown = await page(door, "/events")
    assert "Active → Maintenance, reason: Ganti sensor" in shown
    assert '<a href="/jobs/1a2-ff"><bdi>Requested: Ping the machine</bdi></a>' in shown
    assert '<a href="/machines/1"><bdi>one</bdi></a>' in shown
    assert '<span class="by"><bdi>admin</bdi></span>' in shown
    assert re.search(r'<time title="\d+ \w+ \d{4} [\d:]{8} UTC, \d+\u202f\w+ ago" data-utc', shown)
    assert re.search(r'<li class="day"><h2>\w+day, \d', shown)
    machine = await page(door, "/machines/dev-one/events", language="id")
    assert "Aktif → Pemeliharaan, alasan: Ganti sensor" in machine
    assert '<a href="/machines/1/events" aria-current="page">' in machine
    assert 'class="where"' not in machine


async def test_a_technicians_machines_are_named(door: ApiHub) -> None:
    """Also one that is gone since."""
    path = f"/api/v2/users/{door.users['technician']}"
    async with door.of("admin") as admin:
        assert (await admin.patch(path, json={"machines": ["dev-two"]})).status_code == 200
        assert "given: two, machines taken away: one" in await page(door, "/events")
        assert (await admin.request("DELETE", "/api/v2/rvms/2", json={"confirm": "two"})).is_success
    assert "mesin ditambahkan: two, mesin dicabut: one" in await page(door, "/events?kind=user", language="id")


async def test_times_of_a_list_are_in_one_zone_that_its_head_names(door: ApiHub) -> None:
    door.context.fleet.machines[1].row = msgspec.structs.replace(
        door.context.fleet.machines[1].row, timezone="Asia/Makassar"
    )
    await happen(door)
    for path, label in (("/events", "WIB"), ("/machines/1/events", "WITA")):
        shown = await page(door, path)
        assert f"Times in {label}" in shown
        assert re.search(r">\d\d:\d\d:\d\d</time>", shown)


async def test_filters_are_links_and_a_form_that_work_without_script(door: ApiHub) -> None:
    await happen(door, rvm_id=1)
    await happen(door, "machine.introduced", rvm_id=2, actor="clock", params={"agent_version": "9.9"})
    assert "agent 9.9" in await page(door, "/events")
    assert "agent 9.9" not in await page(door, "/events?machine=ONE")
    assert "agent 9.9" in await page(door, "/events?machine=dev-two&kind=machine&actor=clock")
    assert "door.open" not in await page(door, "/events?actor=clock")
    assert "agent 9.9" not in await page(door, "/events?to=2020-01-01")
    shown = await page(door, "/events?kind=status,machine&q=door")
    assert 'href="/events?kind=machine&q=door" aria-current="true"' in shown, "a chosen kind is a link without it"
    assert '<input type="hidden" name="kind" value="status,machine">' in shown
    form = shown[shown.index('<form action="/api/v2/events"') :]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))
    wanted = {"kind": "status,machine", "q": "door", "format": "csv"}
    assert wanted.items() <= fields.items()


async def test_nothing_and_nothing_that_matches_are_shown_apart(door: ApiHub) -> None:
    empty = await page(door, "/machines/2/events")
    assert "Nothing has happened yet." in empty
    none = await page(door, "/events?kind=status&q=bandung")
    assert "No event matches: <b><bdi>Status, “bandung”</bdi>" in none
    assert "There is no machine of that name: <b><bdi>nix" in await page(door, "/events?machine=nix")
    assert "From: not a day" in await page(door, "/events?from=tomorrow")


async def test_more_leads_on_and_back_to_the_newest(door: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_page, "CHUNKS", (3,))
    monkeypatch.setattr(events_page, "AROUND", 2)
    for number in range(7):
        await happen(door, params={"code": f"n{number}", "params": {}}, ago=60 - number)
    seen, path = [], "/machines/1/events"
    for _ in range(3):
        shown = await page(door, path)
        seen += re.findall(r"The machine reports (n\d)", shown)
        more = re.search(r'rel="next" data-onward="\d+" href="([^"]+)"', shown)
        path = more[1] if more else ""
    assert seen == ["n6", "n5", "n4", "n3", "n2", "n1", "n0"]
    assert "To the newest" in shown
    assert "No older events." in shown
    assert "n6" in await page(door, "/machines/1/events?before=999999"), "a place nobody knows is the newest"


async def test_a_long_search_says_how_far_it_came(door: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STRETCH", 2)
    monkeypatch.setattr(events, "MOST", 2)
    for number in range(9):
        await happen(door, ago=100 - number)
    shown = await page(door, "/machines/1/events?q=nothing-like-it")
    assert re.search(r"Searched back to \w+ [\d:]+ WIB. Search further", shown)


async def test_lines_come_alone_for_the_script(door: ApiHub) -> None:
    await happen(door)
    async with await browser(door) as client:
        one = (await client.get("/events/lines?rvm=1")).text
        line = one[one.index("<li data-id") : one.index("</li>", one.index("<li data-id"))]
        assert "The machine reports door.open" in line
        assert 'class="where"' not in line
        assert line in (await client.get("/machines/1/events")).text
        assert "data-id" not in (await client.get("/events/lines?machine=two&kind=machine")).text
        assert (await client.get("/events/lines?rvm=99")).status_code == 404


async def test_each_sees_what_concerns_their_machines(door: ApiHub) -> None:
    await happen(door, rvm_id=2)
    await happen(
        door, "user.removed", None, actor=f"user:{door.users['admin']}", params={"user_id": 77, "email": "x@y.z"}
    )
    assert "x@y.z" in await page(door, "/events")
    for who in ("operator", "viewer", "technician"):
        shown = await page(door, "/events?kind=machine,user", who)
        assert "x@y.z" not in shown
        assert "Sign-in<" not in shown, "no kind that is not for them"
        assert ("door.open" in shown) is (who != "technician")


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_a_machine_reports_stays_text(door: ApiHub, text: str) -> None:
    await happen(door, params={"code": text, "params": {text: text}})
    async with await browser(door) as client:
        for path in ("/events", "/machines/1/events", f"/events?{urlencode({'q': text, 'machine': text})}"):
            answer = (await client.get(path)).text
            assert text not in answer or text == "{{7*7}}"
            assert "<img" not in answer
            assert "49" not in re.findall(r"reports ([^<]*)", answer)


@pytest.mark.parametrize(("language", "head", "all_of_them"), [
    ("en", "Latest events", "All events"), ("id", "Kejadian terbaru", "Semua kejadian"),
])  # fmt: skip
async def test_an_overview_has_the_last_few_of_its_machine(
    door: ApiHub, language: str, head: str, all_of_them: str
) -> None:
    for ago in range(7):
        await happen(door, ago=ago, params={"code": f"door.{ago}", "params": {}})
    await happen(door, rvm_id=2, params={"code": "elsewhere", "params": {}})
    for who in ("viewer", "technician"):
        shown = await page(door, "/machines/1", who, language)
        part = shown[shown.index('id="recent"') :].partition("</section>")[0]
        assert head in part
        assert f'<a class="btn small plain" href="/machines/1/events">{all_of_them}</a>' in part
        assert re.findall(r"door\.\d", part) == [f"door.{ago}" for ago in range(5)]
        assert "elsewhere" not in part
        assert "event:status event:connection" in shown, "drawn again when one comes"


async def test_others_work_while_lines_are_drawn(door: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for ago in range(20):
        await happen(door, ago=ago)
    monkeypatch.setattr(fleet_digest, "SLICE_S", 0.0)
    together = most = 0

    def counted(*args: Any, **named: Any) -> Line:
        nonlocal together, most
        together += 1
        most = max(most, together)
        return event_line(*args, **named)

    async def others() -> None:
        nonlocal together
        while True:
            together = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(events_page, "event_line", counted)
    other = asyncio.ensure_future(others())
    await page(door, "/events")
    other.cancel()
    assert 1 <= most <= 2
