"""A status is asked for at the dashboard with a reason, confirmed on the next page, and taken back there."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.hub.status.test_status import confirm
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser

MAINTENANCE = {"status": "maintenance", "reason": "sensor"}


async def ask(client: httpx.AsyncClient, given: dict[str, str]) -> str:
    """The page after the form."""
    answer = await client.post("/machines/1/status", data=given)
    assert answer.status_code == 303, answer.text
    return (await client.get(answer.headers["location"])).text


async def undo(client: httpx.AsyncClient, page: str, where: str = "/machines/1/undo") -> httpx.Response:
    form = page[page.index(f'action="{where}"') :]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))
    return await client.post(where, data=fields)


def states(hub: ApiHub) -> list[str]:
    return [command.args["status"] for command in hub.context.fleet.machines[1].pending.values()]


async def test_what_the_machine_has_done_is_taken_back_by_what_held_before(any_hub: ApiHub) -> None:
    async with any_hub.of("one") as machine:
        await machine.patch("/api/v2/rvms/1/status", json={"status": "error", "reason": "belt"})
    async with await browser(any_hub, "operator") as client:
        page = await ask(client, MAINTENANCE)
        assert "Maintenance requested." in page
        await confirm(any_hub, "one")
        assert any_hub.context.fleet.machines[1].effective_status == "maintenance"
        back = await undo(client, page)
        assert back.status_code == 303
        await confirm(any_hub, "one")
    row = any_hub.context.fleet.machines[1].row
    assert (row.status, row.status_reason) == ("error", "belt")


async def test_what_has_not_left_the_hub_is_cancelled(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client:
        page = await ask(client, MAINTENANCE | {"back": "/"})
        assert "Maintenance requested." in page
        assert "one" in page
        answer = await undo(client, page)
        assert answer.headers["location"] == "/?undone=1"
        assert states(hub) == []
        assert "taken back" in (await client.get(answer.headers["location"])).text
        assert (await undo(client, page)).status_code == 409, "once"


async def test_nothing_newer_and_nobody_elses_is_taken_back(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client, await browser(hub, "admin") as other:
        page = await ask(client, MAINTENANCE)
        assert (await undo(other, page)).status_code == 409
        await confirm(hub, "one")
        async with hub.of("one") as machine:
            await machine.patch("/api/v2/rvms/1/status", json={"status": "error", "reason": "belt"})
        refused = await undo(client, page)
        assert refused.status_code == 409
        assert "nothing to undo" in refused.text
        assert states(hub) == []


async def ask_many(client: httpx.AsyncClient, *rvm_ids: int) -> str:
    """The page after the form."""
    given = {"do": "maintenance", "sure": "1", "reason": "cleaning", "rvm": [str(rvm_id) for rvm_id in rvm_ids]}
    answer = await client.post("/bulk", data=given)
    assert answer.status_code == 303, answer.text
    return (await client.get(answer.headers["location"])).text


async def test_what_many_were_asked_for_is_taken_back_of_each_as_it_was(any_hub: ApiHub) -> None:
    hub = any_hub
    async with hub.of("two") as machine:
        await machine.patch("/api/v2/rvms/2/status", json={"status": "error", "reason": "belt"})
    async with await browser(hub, "operator") as client:
        page = await ask_many(client, 1, 2)
        assert "Maintenance requested." in page
        await confirm(hub, "two")
        answer = await undo(client, page, "/bulk/undo")
        assert "Taken back for 2 of 2 machines." in answer.text
        assert states(hub) == [], "machine one was not asked yet: it never will be"
        await confirm(hub, "two")
        again = await undo(client, page, "/bulk/undo")
        assert "Taken back for 2 of 2 machines." in again.text, "a second press does nothing more"
        assert [command.id for command in hub.context.fleet.machines[2].pending.values()] == []
    one, two = (hub.context.fleet.machines[rvm_id].row for rvm_id in (1, 2))
    assert (one.status, two.status, two.status_reason) == ("active", "error", "belt")


async def test_of_many_only_what_nobody_changed_since_is_taken_back(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client, await browser(hub, "admin") as other:
        page = await ask_many(client, 1, 2)
        assert (await undo(other, page, "/bulk/undo")).status_code == 409, "somebody else's"
        await confirm(hub, "one")
        await confirm(hub, "two")
        async with hub.of("one") as machine:
            await machine.patch("/api/v2/rvms/1/status", json={"status": "error", "reason": "belt"})
        answer = await undo(client, page, "/bulk/undo")
        assert "Taken back for 1 of 2 machines." in answer.text
        assert re.search(r">one</bdi></a>: There is nothing to undo any more", answer.text)
        assert states(hub) == []
        assert (await client.post("/bulk/undo", data={"group": "no such \x00"})).status_code == 409
    async with await browser(hub, "viewer") as client:
        assert (await client.post("/bulk/undo", data={"group": "g"})).status_code == 403


async def test_a_sync_of_many_offers_no_undo(hub: ApiHub) -> None:
    async with await browser(hub, "operator") as client:
        answer = await client.post("/bulk", data={"do": "sync_timezone", "sure": "1", "rvm": ["1", "2"]})
        assert "/bulk/undo" not in (await client.get(answer.headers["location"])).text


@pytest.mark.parametrize("status", ["maintenance", "inactive", "error"])
async def test_the_hub_wants_a_reason_of_a_person_at_the_dashboard(hub: ApiHub, status: str) -> None:
    async with await browser(hub, "operator") as client:
        answer = await client.post("/machines/1/status", data={"status": status, "until": "4", "reason": " "})
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        assert re.search(r'id="status-fault"[^>]*>.*?Please give a reason', answer.text, re.DOTALL)
        assert f'value="{status}" checked' in answer.text
        asked = await client.patch("/api/v2/rvms/1/status", json={"status": status})
        assert asked.status_code == 422
        assert list(asked.json()["errors"]) == ["reason"]
        assert states(hub) == []
        assert (await client.patch("/api/v2/rvms/1/status", json={"status": "full"})).status_code == 200


@pytest.mark.parametrize("name", ["restart_service", "reboot"])
async def test_what_interrupts_a_machine_has_a_reason_too(hub: ApiHub, name: str) -> None:
    args = {"service": "rvm.service"} if name == "restart_service" else {}
    async with await browser(hub, "operator") as client:
        for where, body in (("/api/v2/rvms/1/commands", {}), ("/api/v2/commands", {"rvms": [1]})):
            answer = await client.post(where, json={"name": name, "args": args, **body})
            assert list(answer.json()["errors"]) == ["reason"], answer.text


async def test_the_attention_list_invents_no_reason(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        await machine.patch("/api/v2/rvms/1/status", json={"status": "error", "reason": "belt"})
    async with await browser(hub, "operator", language="id") as client:
        page = (await client.get("/")).text
    form = page[page.index('action="/machines/1/status"') :]
    form = form[: form.index("</form>")]
    assert re.search(r'<input name="reason" maxlength="500" required', form)
    assert 'type="hidden" name="reason"' not in form


async def test_full_is_asked_for_once_more_when_the_bin_says_otherwise(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        await machine.patch("/api/v2/rvms/1/status", json={"status": "active", "capacity": 10})
    async with await browser(hub, "operator") as client:
        asked = await client.post("/machines/1/status", data={"status": "full"})
        assert asked.status_code == 422
        assert "Full although the bin says 10\u202f%" in asked.text
        assert states(hub) == []
        assert (await client.post("/machines/1/status", data={"status": "full", "sure": "1"})).status_code == 303
        assert states(hub) == ["full"]


async def test_services_that_nobody_declared_are_not_asked_for(hub: ApiHub) -> None:
    async with await browser(hub, "operator", language="id") as client:
        page = (await client.get("/machines/1/do/restart_service")).text
    assert "Mesin ini tidak menyebut layanan yang boleh dimulai ulang" in page
    assert 'name="service"' not in page
