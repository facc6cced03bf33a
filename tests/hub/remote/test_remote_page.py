"""The Remote access tab without script: what it shows to whom, in which words, what its plain forms do, and that
nothing anybody typed becomes a part of the page."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import facts_of_hello
from tests.support.page_visitor import browser
from tests.support.session_record import REMOTE, lease, moved, page_of, recording, settings

EVIL = '"><script>alert(1)</script>&amp;{{7*7}}'


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        settings(made)
        machine = made.context.fleet.machines[1]
        machine.linked = True
        able = ("start_remote_access", "extend_remote_access")
        machine.row = msgspec.structs.replace(machine.row, capabilities=able)
        yield made


async def send(client: httpx.AsyncClient, request: str, **given: Any) -> httpx.Response:
    return await client.post(f"{REMOTE}/{request}", data={**given, "csrf_token": client.headers["X-CSRF-Token"]})


async def status(hub: ApiHub) -> list[str]:
    return [session.status for session in hub.context.fleet.machines[1].remote_sessions.values()]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Start remote access", "How long", "30 min", "Terminal", "At most", "No sessions yet"]),
        ("id", ["Mulai akses jarak jauh", "Berapa lama", "30 mnt", "Terminal", "Paling lama"]),
    ],
)
async def test_the_form_offers_what_the_machine_has(hub: ApiHub, language: str, words: list[str]) -> None:
    page = await page_of(hub, "operator", language)
    for said in words:
        assert said in page, said
    form = page[page.index('id="start-form"') :]
    form = form[: form.index("</form>")]
    assert re.findall(r'name="port" value="(\d+)" checked', form) == ["5000", "5001"]
    assert "<fieldset>" in form, "open"


@pytest.mark.parametrize("language", ["en", "id"])
async def test_who_may_not_begin_one_sees_the_form_locked_with_the_reason(hub: ApiHub, language: str) -> None:
    english = language == "en"

    async def sentence(name: str) -> str:
        page = await page_of(hub, name, language)
        assert "<fieldset disabled>" in page
        found = re.search(r'data-refusal="[a-z_]+">.*?<span>(.*?)</span>', page, re.DOTALL)
        assert found is not None
        return html.unescape(found[1])

    said = await sentence("viewer")
    assert "operator" in said.lower()
    settings(hub, admin_ips=["192.0.2.0/24"])
    said = await sentence("operator")
    assert "10.0.0.1" in said
    assert "admin_ips" in said
    settings(hub)
    hub.context.fleet.machines[1].linked = False
    said = await sentence("operator")
    assert ("The machine is offline" if english else "Mesin sedang offline") in said
    settings(hub, remote_access_enabled=False)
    assert "remote_access_enabled" in await sentence("operator")


async def test_a_session_is_begun_extended_and_ended_by_plain_forms(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client:
        request = {"minutes": "15", "reason": "The belt", "allow": ["terminal", "ports"], "port": ["5001"]}
        answer = await send(client, "start", **request)
        assert (answer.status_code, answer.headers.get("location")) == (303, REMOTE)
        session = next(iter(hub.context.fleet.machines[1].remote_sessions.values()))
        assert (session.duration_s, session.reason) == (900.0, "The belt")
        assert (session.allow, session.ports) == (("terminal", "ports"), (5001,))
        page = (await client.get(REMOTE)).text
        assert "Starting…" in page
        assert 'id="start-form"' not in page, "one at a time"
        await moved(hub, session, status="active")
        assert (await send(client, "extend", session_id=session.id)).status_code == 303
        page = (await client.get(REMOTE)).text
        assert "Your remote access" in page
        assert re.search(r"data-left>(29|30):\d\d<", page)
        assert "Terminal, Control page" in page
        assert (await send(client, "stop", session_id=session.id)).status_code == 303
    assert await status(hub) == []
    page = await page_of(hub, "viewer")
    assert "The belt" in page
    assert "Ended by operator" in page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"allow": []}, "Allow at least one"),
        ({"reason": "  "}, "Please give a reason"),
        ({"minutes": "other", "other": "abc"}, "Enter how many minutes"),
        ({"minutes": "other", "other": "100000"}, "from 1 to 60"),
        ({"minutes": "x" * 500}, "Enter how many minutes"),
        ({"port": ["22"]}, "5000, 5001"),
    ],
)
async def test_what_was_typed_is_kept_when_it_is_refused(hub: ApiHub, wrong: dict[str, Any], said: str) -> None:
    given = {"minutes": "15", "reason": "Kept <b>words</b>", "allow": ["terminal", "ports"], "port": ["5000"], **wrong}
    async with await browser(hub, "operator") as client:
        answer = await send(client, "start", **given)
    assert 400 <= answer.status_code < 500
    fault = re.search(r'<div class="note bad" role="alert">.*?<div>(.*?)</div>', answer.text, re.DOTALL)
    assert fault is not None
    assert said.lower() in fault[1].lower()
    if "reason" not in wrong:
        assert 'value="Kept &lt;b&gt;words&lt;/b&gt;"' in answer.text
    assert await status(hub) == []


async def test_a_request_is_approved_by_another_person_only(hub: ApiHub) -> None:
    settings(hub, remote_access_approval=True)
    async with await browser(hub, "operator") as asker, await browser(hub, "admin") as other:
        assert "A second person has to approve it first." in (await asker.get(REMOTE)).text
        await send(asker, "start", minutes="15", reason="The belt", allow=["terminal"])
        session = next(iter(hub.context.fleet.machines[1].remote_sessions.values()))
        assert session.status == "requested"
        own = (await asker.get(REMOTE)).text
        assert "It starts as soon as somebody does." in own
        assert 'data-ask="approve"' not in own
        assert (await send(asker, "approve", session_id=session.id)).status_code in (403, 409)
        assert "You need the role Operator for this" in await page_of(hub, "viewer")
        seen = (await other.get(REMOTE)).text
        assert 'data-ask="approve"' in seen
        assert 'data-ask="decline"' in seen
        assert (await send(other, "approve", session_id=session.id)).status_code == 303
        assert await status(hub) == ["starting"]
        begun = hub.context.fleet.machines[1].remote_sessions[session.id]
        assert begun.approved_by == f"user:{hub.users['admin']}"
        await moved(hub, begun, status="active")
        assert re.search(r"Approved by</dt><dd><bdi>admin<", (await asker.get(REMOTE)).text)


async def test_a_declined_request_is_over_and_says_by_whom(hub: ApiHub) -> None:
    session = await lease(hub, status="requested")
    async with await browser(hub, "admin") as other:
        assert (await send(other, "decline", session_id=session.id)).status_code == 303
    assert await status(hub) == []
    for language, word in (("en", "eclined"), ("id", "itolak")):
        page = await page_of(hub, "operator", language)
        past = page[page.index('id="past"') :]
        assert word in past
        assert "admin" in past


async def test_somebody_elses_session_can_be_ended_by_an_administrator_alone(hub: ApiHub) -> None:
    session = await lease(hub)
    for name in ("viewer", "technician"):
        page = await page_of(hub, name)
        assert "Remote access by operator" in page
        assert 'data-ask="stop"' not in page
        assert 'id="work"' not in page, "nor its terminal"
    assert "Akses jarak jauh oleh operator" in await page_of(hub, "viewer", "id")
    async with await browser(hub, "technician") as client:
        assert (await send(client, "stop", session_id=session.id)).status_code == 403
    async with await browser(hub, "admin") as client:
        assert "End this access…" in (await client.get(REMOTE)).text
        assert (await send(client, "stop", session_id=session.id, reason="Shift is over")).status_code == 303
    assert await status(hub) == []


async def test_a_session_that_is_none_is_refused_and_never_a_fault(hub: ApiHub) -> None:
    async with await browser(hub, "admin") as client:
        for named in ("", "0", "-1", "9" * 40, "x", "²", EVIL):
            for request in ("stop", "extend", "approve", "decline"):
                answer = await send(client, request, session_id=named)
                assert 400 <= answer.status_code < 500, (request, named)
                assert "<script>alert" not in answer.text


async def test_hostile_words_stay_words(hub: ApiHub) -> None:
    """Reasons, names, and folders the machine declared."""
    now = hub.context.clock()
    remote = {"ports": [5000, EVIL], "terminal": True, "download": [EVIL, "/var/log"], "upload": [EVIL]}
    hub.context.announce.observe(
        *facts_of_hello(
            rvm_id=1,
            at=now,
            epoch=1,
            agent_version="1",
            boot_id="b",
            capabilities=(),
            timezone=None,
            hardware={"remote": remote},
            config_version=0,
            clock_offset_s=0.1,
            ip=None,
            simulated=False,
        )
    )
    over = await lease(hub, admin_name=EVIL, reason=EVIL)
    made = await recording(hub, over, now, machine_name=EVIL, user_name=EVIL, reason=EVIL, ip_address=EVIL)
    await moved(hub, over, status="ended", end_time=now, end_reason=EVIL, ended_by=f"user:{hub.users['admin']}")
    await lease(hub, admin_name=EVIL, reason=EVIL, ip_address=EVIL)
    for language in ("en", "id"):
        for name in ("operator", "admin"):
            for path in (REMOTE, f"/recordings/{made}", "/"):
                page = await page_of(hub, name, language, path)
                assert "<script>alert" not in page, (name, path)
                assert "&amp;amp;49" not in page
    page = await page_of(hub, "operator")
    assert html.escape(EVIL, quote=False).replace('"', "&#34;") in page
    declared = re.search(r'data-download="([^"]*)"', page)
    assert declared is not None
    assert "<" not in declared[1]


async def test_the_chip_shows_a_session_of_ones_own_though_it_is_not_the_machines_oldest(hub: ApiHub) -> None:
    await lease(hub, "admin")
    await lease(hub, "operator")
    for path in ("/account", "/jobs", REMOTE):
        page = await page_of(hub, "operator", path=path)
        chip = page[page.index('id="lease-chip"') :]
        assert re.search(r"data-left[^>]*>(29|30):\d\d<", chip[: chip.index("</a>")]), path
    page = await page_of(hub, "viewer", path="/account")
    assert re.search(r'id="lease-chip"[^>]* hidden', page)


async def test_whose_session_somebody_else_ends_reads_by_whom_and_why(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client, await browser(hub, "admin") as other:
        given = {"minutes": "30", "reason": "camera", "allow": "terminal"}
        assert (await send(client, "start", **given)).status_code == 303
        (session,) = hub.context.fleet.machines[1].remote_sessions.values()
        refused = await send(other, "stop", session_id=session.id)
        assert refused.status_code == 422, "the hub wants the reason, not only the form"
        assert await status(hub) != []
        ended = await send(other, "stop", session_id=session.id, reason=EVIL)
        assert ended.status_code == 303
        page = (await client.get(REMOTE)).text
        note = page[page.index("data-closed") :]
        note = note[: note.index("</div>")]
        assert "admin ended your session" in note
        assert html.escape(EVIL) in note or "&lt;script&gt;" in note
        assert "data-closed" not in (await other.get(REMOTE)).text
        # One's own end, and a new session, end the note.
        assert (await send(client, "start", **given)).status_code == 303
        (again,) = hub.context.fleet.machines[1].remote_sessions.values()
        assert (await send(client, "stop", session_id=again.id)).status_code == 303
        assert "data-closed" not in (await client.get(REMOTE)).text
