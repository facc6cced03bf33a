"""The pages of jobs, actions and many machines, without script: what they say, to whom, and that a request is one."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from db.records import CommandRow
from hub.commands.cards import Throughputs
from hub.model.changes import (
    Move,
    Observed,
    Put,
)
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import facts_of_hello
from tests.support.page_visitor import browser

HOSTILE = '"><img src=x onerror=alert(1)>{{7*7}}\u202e'


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


async def put(hub: ApiHub, number: int, rvm_id: int = 1, **members: Any) -> CommandRow:
    """A command as it might stand in the ledger."""
    now = hub.context.clock() - timedelta(minutes=number)
    made = {
        "id": f"c{number:04}", "rvm_id": rvm_id, "name": "reboot", "args": {}, "state": "queued", "issued_by": "user:1",
        "issued_at": now, "expires_at": now + timedelta(hours=24),
    }  # fmt: skip
    command = CommandRow(**{**made, **members})
    await hub.context.announce(Put(command))
    if command.finished_at is not None:
        await hub.context.announce(Move(command, ("state",)))
    return command


async def end(hub: ApiHub, number: int, rvm_id: int = 1, state: str = "succeeded", **members: Any) -> CommandRow:
    at = hub.context.clock() - timedelta(minutes=number)
    return await put(hub, number, rvm_id, state=state, sent_at=at, finished_at=at, **members)


def ids(page: str) -> list[str]:
    return re.findall(r'data-job="(c\d+)"', page)


def introduced(hub: ApiHub, rvm_id: int, *capabilities: str, connection: str = "live") -> None:
    now = hub.context.clock()
    for change in (
        *facts_of_hello(
            rvm_id=rvm_id,
            at=now,
            epoch=9,
            agent_version="1",
            boot_id="b",
            capabilities=capabilities,
            hardware=None,
            timezone="Asia/Makassar",
            config_version=0,
            clock_offset_s=0.0,
            ip=None,
            simulated=False,
        ),
        Observed(rvm_id, {"connection": connection, "connection_since": now, "connection_reason": None}),
    ):
        hub.context.fleet.apply(change)


@pytest.mark.parametrize("language", ["en", "id"])
async def test_jobs_are_whole_in_both_languages_and_no_text_runs(hub: ApiHub, language: str) -> None:
    await put(hub, 1, reason=HOSTILE, name=HOSTILE)
    await end(hub, 2, state="failed", error={"code": HOSTILE, "message": HOSTILE}, result={HOSTILE: [HOSTILE]})
    async with await browser(hub, language=language) as client:
        for path in (
            "/jobs",
            "/jobs/c0001",
            "/jobs/c0002",
            "/machines/1",
            "/machines/1/do/reboot",
            "/jobs?group=%22%3E",
        ):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert answer.text.count("<h1") == 1
            assert "<img" not in answer.text
            assert not re.search(r"<script(?![^>]* src=)", answer.text)
            assert (">Tugas<" in re.sub(r"\s*<span class=\"count.*?</span>", "", answer.text)) is (language == "id")


async def test_open_jobs_stand_first_what_runs_above_what_waits(hub: ApiHub) -> None:
    await put(hub, 1)
    await put(hub, 2, state="running", sent_at=hub.context.clock())
    await end(hub, 3)
    await end(hub, 0, state="expired")
    async with await browser(hub) as client:
        assert ids((await client.get("/jobs")).text) == ["c0002", "c0001", "c0000", "c0003"]
        assert ids((await client.get("/jobs?state=open")).text) == ["c0002", "c0001"]
        assert ids((await client.get("/jobs?state=expired")).text) == ["c0000"]
        assert ids((await client.get("/jobs?state=ended")).text) == ["c0000", "c0003"]
        page = (await client.get("/jobs?name=ping")).text
        assert ids(page) == []
        assert "No job matches." in page
        assert '<span class="count calm" data-open-jobs>2</span>' in page


async def test_filters_by_machine_and_by_words(hub: ApiHub) -> None:
    one, two = hub.machines["one"], hub.machines["two"]
    await put(hub, 1, one)
    await end(hub, 2, two)
    async with await browser(hub) as client:
        assert ids((await client.get(f"/jobs?rvm={one}")).text) == ["c0001"]
        assert ids((await client.get(f"/jobs?rvm={two}")).text) == ["c0002"]
        assert ids((await client.get("/jobs?q=two")).text) == ["c0002"]
        assert ids((await client.get("/jobs?q=nowhere")).text) == []


async def test_pages_follow_each_other(hub: ApiHub) -> None:
    for number in range(120):
        await end(hub, number)
    seen: list[str] = []
    async with await browser(hub) as client:
        address = "/jobs"
        while address:
            page = (await client.get(address)).text
            seen += ids(page)
            onward = re.search(r'href="(/jobs\?before=[^"]+)">Older', page)
            address = html.unescape(onward[1]) if onward else ""
        assert seen == [f"c{number:04}" for number in range(120)]
        assert ids((await client.get("/jobs?before=unknown")).text)[0] == "c0000"


async def test_more_open_jobs_than_a_page_holds_have_pages_too(hub: ApiHub) -> None:
    third = await hub.add_machine("third")
    for number in range(70):
        await put(hub, number, 1 if number % 2 else third)
    async with await browser(hub) as client:
        page = (await client.get("/jobs")).text
        assert len(ids(page)) == 50
        onward = re.search(r'href="(/jobs\?state=open[^"]+)">Older', page)
        assert onward
        rest = (await client.get(html.unescape(onward[1]))).text
        assert ids(rest) == [f"c{number:04}" for number in range(50, 70)]
        assert "Back to the newest" in rest


async def test_a_technician_sees_jobs_of_the_own_machines_only(hub: ApiHub) -> None:
    one, two = hub.machines["one"], hub.machines["two"]
    await put(hub, 1, one, group_id="g")
    await put(hub, 2, two, group_id="g")
    await end(hub, 3, two, group_id="g")
    async with await browser(hub, "technician") as client:
        page = (await client.get("/jobs")).text
        assert ids(page) == ["c0001"]
        assert "data-open-jobs>1<" in page
        assert ids((await client.get(f"/jobs?rvm={two}")).text) == []
        assert "0 of 1 done" in (await client.get("/jobs?group=g")).text
        assert "0 of 1 done" in (await client.get("/jobs/parts?group=g&of=tally")).text
        assert (await client.get("/jobs/c0002/parts?of=whole-job")).status_code == 404
        assert (await client.get("/jobs/c0002")).status_code == 404
        assert (await client.post("/jobs/c0002/cancel")).status_code == 404


async def test_a_group_is_summed_up_with_links_to_its_parts(hub: ApiHub) -> None:
    introduced(hub, hub.machines["one"], "reboot")
    await put(hub, 1, hub.machines["one"], group_id="g")
    await put(hub, 2, hub.machines["two"], group_id="g")
    await end(hub, 3, group_id="g")
    await end(hub, 4, state="failed", group_id="g", error={"code": "x", "message": "y"})
    async with await browser(hub) as client:
        page = html.unescape((await client.get("/jobs?group=g")).text)
        said = re.search(r'id="tally"[^>]*>(.*?)</p>', page, re.DOTALL)
        assert said
        words = [re.sub(r"<[^>]+>", "", part) for part in said[1].split("</span>") if part]
        assert words == ["1 of 4 done", "1 queued [show]", "1 offline (queued) [show]", "1 failed [show]"]
        assert '<a href="/jobs?state=failed&group=g">' in said[1]
        assert ids((await client.get("/jobs?state=failed&group=g")).text) == ["c0004"]
        part = html.unescape((await client.get("/jobs/parts?group=g&of=tally")).text)
        assert re.sub(r"<[^>]+>", "", part).strip() == "".join(words)


async def test_one_job_shows_what_is_known_of_it(hub: ApiHub) -> None:
    await end(
        hub, 1, name="sync_timezone", args={"trigger": "manual"}, reason="moved", group_id="g",
        result={"timezone": "Asia/Makassar", "applied": True},
    )  # fmt: skip
    async with await browser(hub) as client:
        page = (await client.get("/jobs/c0001")).text
        for text in ("Sync time zone", "moved", "Asia/Makassar", "Applied", "yes", "c0001", "/jobs?group=g"):
            assert text in page
        assert (await client.get("/jobs/nothing")).status_code == 404
        assert (await client.get("/jobs/c0001/cancel")).headers["location"] == "/jobs/c0001"


async def test_a_cancel_by_form_is_the_same_as_by_rest(hub: ApiHub) -> None:
    await put(hub, 1)
    await end(hub, 2)
    async with await browser(hub, "operator") as client:
        answer = await client.post("/jobs/c0001/cancel")
        assert answer.headers["location"] == "/jobs/c0001"
        assert "Cancelled before it was sent" in (await client.get("/jobs/c0001")).text
        late = await client.post("/jobs/c0002/cancel")
        assert late.status_code == 409
        assert "It has ended already" in late.text
    async with await browser(hub, "viewer") as client:
        assert (await client.post("/jobs/c0001/cancel")).status_code == 403
        assert '<details class="confirm" hidden>' in (await client.get("/jobs/c0001")).text


async def test_a_disruptive_action_wants_a_reason_and_a_machine_that_is_there(hub: ApiHub) -> None:
    introduced(hub, 1, "reboot", "sync_timezone")
    hub.context.fleet.apply(Observed(1, {"busy": True}))
    async with await browser(hub, "operator") as client:
        page = (await client.get("/machines/1/do/reboot")).text
        assert "Somebody is returning containers now." in page
        assert 'name="force"' in page
        assert (await client.post("/machines/1/do/reboot", data={"reason": " "})).status_code == 422
        refused = await client.post("/machines/1/do/reboot", data={"reason": "hangs"})
        assert refused.status_code == 409
        assert "needs this online" in refused.text or "needs it online" in refused.text or "offline" in refused.text
        old = await client.get("/machines/1/do/restart_service")
        assert "software cannot do it" in old.text
        assert (await client.get("/machines/1/do/format")).status_code == 404
        assert (await client.post("/machines/1/do/format")).status_code == 404
    assert hub.context.fleet.machines[1].pending == {}


async def test_a_form_sent_twice_is_one_request(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client:
        page = (await client.get("/machines/1/do/sync_timezone")).text
        request = re.search(r'name="request" value="(\w+)"', page)
        assert request
        for _ in range(2):
            answer = await client.post("/machines/1/do/sync_timezone", data={"request": request[1]})
            assert answer.headers["location"] == "/machines/1"
        assert len(hub.context.fleet.machines[1].pending) == 1
        assert (await client.post("/machines/1/do/sync_timezone", data={"request": "\u00fc \n"})).status_code == 422


async def test_many_machines_are_asked_after_one_look_at_what_will_happen(hub: ApiHub) -> None:
    one, two = hub.machines["one"], hub.machines["two"]
    introduced(hub, one, "ping", connection="offline")
    async with await browser(hub, "operator") as client:
        chosen = {"do": "sync_timezone", "rvm": [str(one), str(two), str(two), "\u0661", "999999"]}
        look = await client.post("/bulk", data=chosen)
        assert "1 cannot do it: its software is too old" in look.text
        assert "1 is not connected: will run when it connects, until tomorrow" in look.text
        assert hub.context.fleet.open == {}, "looking changes nothing"
        done = await client.post("/bulk", data={**chosen, "sure": "1"})
        assert done.status_code == 200
        assert "Sent to 1 of 2 machines." in done.text
        group = next(iter(hub.context.fleet.open.values())).group_id
        assert f"/jobs?group={group}" in done.text
        every = await client.post(
            "/bulk", data={"do": "maintenance", "rvm": str(two), "sure": "1", "reason": "cleaning"}
        )
        assert every.headers["location"].startswith("/jobs?group=")
        assert (await client.post("/bulk", data={"do": "maintenance", "rvm": "2", "sure": "1"})).status_code == 422
        assert (await client.post("/bulk", data={"do": "maintenance"})).status_code == 422
        assert (await client.post("/bulk", data={"do": "wipe", "rvm": "1"})).status_code == 404
        assert (await client.get("/bulk")).headers["location"] == "/"


async def test_maintenance_of_many_ends_when_it_was_asked_to(hub: ApiHub) -> None:
    one, two = hub.machines["one"], hub.machines["two"]
    async with await browser(hub, "operator") as client:
        chosen: dict[str, Any] = {"do": "maintenance", "rvm": [str(one), str(two)]}
        look = (await client.post("/bulk", data=chosen)).text
        (asked_at,) = re.findall('name="asked_at" value="([0-9]+)"', look)
        (request,) = re.findall('name="request" value="([^"]+)"', look)
        assert "for 4 hours" in look
        sent = {**chosen, "sure": "1", "reason": "belts", "until": "4", "asked_at": asked_at, "request": request}
        for _ in range(2):
            answer = await client.post("/bulk", data=sent)
            assert answer.headers["location"].startswith("/jobs?group="), answer.text
        ends = [command.args["until"] for command in hub.context.fleet.open.values()]
        assert [datetime.fromisoformat(each.replace("Z", "+00:00")).timestamp() for each in ends] == (
            [int(asked_at) / 1000 + 4 * 3600] * 2
        )
        faulty = (await client.post("/bulk", data={**chosen, "sure": "1", "until": "24"})).text
        assert '<option value="24" selected>' in faulty, "a choice outlasts a missing reason"
        assert "asked_at" not in (await client.post("/bulk", data={**chosen, "do": "active"})).text


async def test_a_technician_cannot_reach_further_by_selecting_more(hub: ApiHub) -> None:
    one, two = hub.machines["one"], hub.machines["two"]
    async with await browser(hub, "technician") as client:
        chosen = {"do": "sync_timezone", "rvm": [str(one), str(two)], "sure": "1"}
        assert (await client.post("/bulk", data=chosen)).status_code == 303
    assert [command.rvm_id for command in hub.context.fleet.open.values()] == [one]


async def test_a_page_of_jobs_fits_its_budget(hub: ApiHub) -> None:
    for number in range(50):
        await put(hub, number, hub.machines["one" if number % 2 else "two"])
        await end(hub, 100 + number)
    async with await browser(hub) as client:
        page = await client.get("/jobs")
    assert len(ids(page.text)) == 100
    assert len(gzip.compress(page.content, 6)) <= 25_000


async def test_a_running_job_shows_its_throughput_to_every_reader_the_same(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    introduced(hub, 1, "start_backup")
    row = await put(hub, 0, name="start_backup", args={"backup_id": 1, "backup_type": "full"})
    now = hub.context.clock()
    at = {"s": 0.0}
    monkeypatch.setattr(hub.context[Throughputs], "_clock", lambda: now + timedelta(seconds=at["s"]))
    for second in range(0, 12, 2):
        at["s"] = second
        told = {"phase": "sending", "done": second * 2e6, "total": 1e8}
        row = msgspec.structs.replace(row, state="running", sent_at=now, progress=told)
        hub.context.announce.write_behind(Move(row, ("state", "sent_at", "progress")), lambda: True)
    words = "Sending: 20 MB of 100 MB, 2.0 MB/s, about 40 s left"
    for name in ("viewer", "admin"):
        async with await browser(hub, name) as client:
            for path in ("/jobs", "/jobs/c0000", "/machines/1", "/jobs/parts?of=job-lists"):
                page = (await client.get(path)).text
                assert words in page.replace("\u202f", " "), path
    at["s"] = 60
    async with await browser(hub) as client:
        said = (await client.get("/jobs")).text.replace("\u202f", " ")
    assert "Sending: 20 MB of 100 MB" in said
    assert "2.0 MB/s" not in said, "nothing has moved for long"
