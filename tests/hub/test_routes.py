"""Every page, in both languages, without script: what it says, whom it lets in, and what no text can do to it."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dashboard import assets
from db.records import MachineRow
from hub import routes
from hub.model.changes import (
    Observed,
    Patch,
    SampleSeen,
)
from protocol.messages import Sample
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import declared, facts_of_hello
from tests.support.page_visitor import browser

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "{{7*7}}{% raw %}",
    "\u202ecod.exe", "]]><svg/onload=alert(1)>", "\x1b[31mred", "a\r\nSet-Cookie: x=1", "&lt;b&gt;", "${alert(1)}`",
)  # fmt: skip


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/machines/1",
        "/machines/dev-two",
        "/machines/add",
        "/account",
        "/help",
        "/admin/users",
        "/admin/tokens",
        "/machines/1/settings",
        "/admin/settings",
        "/?status=full",
        "/?q=%00&sort=-cpu",
    ],
)
async def test_a_page_is_whole_in_both_languages(hub: ApiHub, path: str, language: str) -> None:
    async with await browser(hub, language=language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    page = answer.text
    assert f'<html lang="{language}"' in page
    assert page.count("<h1") == 1
    assert (">Bantuan<" in page) is (language == "id")
    assert not re.search(r"<script(?![^>]* src=)", page), "no script stands in a page"
    assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', "", page))
    assert re.search("script-src [a-z.:0-9]+/static/;", answer.headers["content-security-policy"])
    assert answer.headers["cache-control"] == "no-store"
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert address in assets.load().by_address


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_a_machine_says_stays_text(hub: ApiHub, text: str) -> None:
    now, one = hub.context.clock(), hub.machines["one"]
    hub.context.announce.observe(
        Observed(one, {"connection": "live", "connection_since": now, "connection_reason": None})
    )
    for change in (
        Patch(MachineRow, one, {"name": text, "location_description": text, "updated_at": now}),
        *declared(rvm_id=one, status="error", special_status=None, capacity=5, since=now, by="machine:1", reason=text),
        *facts_of_hello(
            rvm_id=one,
            at=now,
            epoch=1,
            agent_version=text,
            boot_id=text,
            capabilities=(text,),
            hardware={text: text},
            timezone=text,
            config_version=0,
            clock_offset_s=0.1,
            ip=text,
            simulated=False,
        ),
        SampleSeen(
            rvm_id=one,
            sample=Sample(timestamp=1.0, cpu_usage=None, reasons={"cpu_usage": text}),
            taken_at=now,
            received_at=now,
        ),
    ):
        hub.context.fleet.apply(change)
    harmless = await _tags(hub, "two")
    async with await browser(hub) as client:
        for path in ("/", f"/machines/{one}"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert text not in answer.text or text == html.escape(text)
            assert set(re.findall(r"<(\w+)", answer.text)) <= harmless
            assert "\x1b" not in str(answer.headers)


async def _tags(hub: ApiHub, name: str) -> set[str]:
    """Every element our own templates use."""
    folder = Path(routes.__file__).parents[1] / "dashboard/templates"
    return set(re.findall(r"<(\w+)", "".join(p.read_text("utf-8") for p in folder.glob("*.html"))))


async def test_a_status_is_asked_for_by_a_plain_form_and_not_shown_as_done(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client:
        answer = await client.post(
            "/machines/1/status", data={"status": "maintenance", "reason": "sensor", "until": "4"}
        )
        assert answer.status_code == 303
        page = await client.get(answer.headers["location"])
    machine = hub.context.fleet.machines[1]
    assert machine.effective_status == "active"
    command = next(iter(machine.pending.values()))
    assert command.args["reason"] == "sensor"
    assert "until" in command.args
    assert "Change status to Maintenance" in page.text
    assert "Queued. Runs when the machine connects, until tomorrow" in page.text


async def test_a_viewer_sees_every_control_locked_with_the_role_it_needs(hub: ApiHub) -> None:
    async with await browser(hub, "viewer") as client:
        page = (await client.get("/machines/1")).text
        assert "<fieldset disabled>" in page
        assert re.search("You need the role (Technician|Operator) for this", page)
        assert (await client.post("/machines/1/status", data={"status": "full"})).status_code == 403
        assert (await client.get("/admin/users")).status_code == 403
        assert "Adding machines needs the role Administrator" in (await client.get("/")).text
        assert (await client.post("/machines/add", data={"name": "x"})).status_code == 403


async def test_a_technician_sees_only_the_own_machines_and_the_rest_is_not_there(hub: ApiHub) -> None:
    async with await browser(hub, "technician") as client:
        fleet = await client.get("/")
        assert "dev-two" not in fleet.text
        assert 'href="/machines/2"' not in fleet.text
        foreign, missing = await client.get("/machines/2"), await client.get("/machines/9999")
        assert (foreign.status_code, missing.status_code) == (404, 404)
        assert _alike(foreign.text) == _alike(missing.text)


def _alike(page: str) -> str:
    """Without the request's number, the instant and the address asked for."""
    return re.sub(r'[0-9a-f]{8}|/machines/\d+|data-now="\d+"', "", page)


async def test_without_machines_the_first_page_is_how_to_add_one(tmp_path: Path, sqlite_url: str) -> None:
    async with api_hub(tmp_path / "empty", database_url=sqlite_url) as empty:
        await empty.add_user("admin", "admin")
        async with await browser(empty) as client:
            page = await client.get("/")
    assert "Add your first machine" in page.text
    assert "<table" not in page.text


async def test_files_are_kept_for_ever_and_packed(hub: ApiHub) -> None:
    address = assets.load()["style.css"]
    async with hub.client() as client:
        packed = await client.get(address)
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
        plain = await client.get(address, headers={"Accept-Encoding": "identity"})
        assert plain.content == packed.content == assets.load().by_name["style.css"].plain
        again = await client.get(address, headers={"If-None-Match": packed.headers["etag"]})
        assert again.status_code == 304
        for wrong in (
            "/static/style.css",
            "/static/../hub.sqlite3",
            "/static/%2e%2e/x",
            "/static/style.000000000000.css",
        ):
            assert (await client.get(wrong)).status_code in (303, 404)


async def test_figures_come_with_the_last_points(hub: ApiHub) -> None:
    now = hub.context.clock()
    sample = Sample(timestamp=1.0, cpu_usage=40.0, temperature=50.0)
    hub.context.fleet.apply(SampleSeen(rvm_id=1, sample=sample, taken_at=now, received_at=now))
    async with await browser(hub) as client:
        made = (await client.get("/machines/1/charts.json?theme=dark")).json()
    assert set(made["figures"]) == {"load", "temperature"}
    assert made["history"][-1] == [int(now.timestamp() * 1000), 40.0, None, 50.0]


async def test_a_page_that_fails_shows_a_number_and_nothing_else(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("hub.machines.page._fleet_row", broken)
    async with await browser(hub) as client:
        answer = await client.get("/")
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert re.search(r'<span class="mono">[0-9a-f]{8}</span>', answer.text)
        nothing = await client.get("/nothing/here")
        assert nothing.status_code == 404
        assert (await client.request("DELETE", "/help")).status_code == 405


async def test_a_page_of_a_hundred_machines_fits_its_budget(hub: ApiHub) -> None:
    now = hub.context.clock()
    for number in range(98):
        await hub.add_machine(f"RVM-{number:03}")
    for number, machine in enumerate(list(hub.context.fleet.machines.values())):
        hub.context.announce.observe(
            Observed(machine.id, {"connection": "live", "connection_since": now, "connection_reason": None})
        )
        for step in range(60):
            sample = Sample(
                timestamp=1.0, cpu_usage=(number * 37 + step * 17) % 100, memory_usage=number % 100, disk_usage=41.0,
                gpu_usage=(number * 7) % 100, temperature=40 + number % 40,
            )  # fmt: skip
            at = now.fromtimestamp(now.timestamp() - (60 - step) * 5, now.tzinfo)
            hub.context.fleet.apply(SampleSeen(rvm_id=machine.id, sample=sample, taken_at=at, received_at=at))
    async with await browser(hub) as client:
        page = await client.get("/")
    assert page.text.count("<tr data-id=") == 101
    assert len(gzip.compress(page.content, 6)) <= 25_000
