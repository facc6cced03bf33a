"""The page of a machine's key and the one of its removal, without a script."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from db.records import MachineRow
from device import settings as agent_settings
from hub.machines.key_page import config_text
from hub.model.changes import Patch
from tests.support.api_hub import ORIGIN, ApiHub, api_hub
from tests.support.machines import machine
from tests.support.page_visitor import browser

KEY = re.compile(r'<output id="key">(rvmk_\w+)<')


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


async def added(client: httpx.AsyncClient, name: str = "RVM-7") -> tuple[str, str]:
    """The page's address, and the key it shows."""
    answer = await client.post("/machines/add", data={"name": name, "location_description": "Pasar"})
    assert answer.status_code == 303, answer.text
    address = answer.headers["location"]
    return address, key_in((await client.get(address)).text)


def key_in(page: str) -> str:
    found = KEY.search(page)
    assert found is not None, page
    return found[1]


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return html.unescape(found[1])


async def test_a_key_is_shown_with_what_to_do_with_it_also_after_a_reload(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        address, key = await added(client)
        for _ in range(2):
            answer = await client.get(address)
            page = html.unescape(answer.text)
            assert page.count(key) == 2, "the key, and the block that writes it into its file"
            assert "no-store" in answer.headers["cache-control"]
            assert f'"myrvm_base_url": "{ORIGIN}"' in page
            assert "python3 run_device.py --config rvm.json" in page
        assert "rvmk_" not in address
        assert key not in (await client.get(address.removesuffix("/key"))).text
        file = await client.get(f"{address}/rvm.json")
        assert file.headers["content-disposition"] == 'attachment; filename="rvm.json"'
        assert "no-store" in file.headers["cache-control"]
        assert json.loads(file.text)["api_token"] == key


async def test_a_form_that_is_sent_twice_adds_one_machine_and_shows_its_key(hub: ApiHub) -> None:
    machines = len(hub.context.fleet.machines)
    async with await browser(hub) as client:
        answers = await asyncio.gather(*(client.post("/machines/add", data={"name": "RVM-7"}) for _ in range(3)))
        assert {answer.status_code for answer in answers} == {303}
        (address,) = {answer.headers["location"] for answer in answers}
        key_in((await client.get(address)).text)
    assert len(hub.context.fleet.machines) == machines + 1
    async with await browser(hub) as other:
        taken = await other.post("/machines/add", data={"name": "RVM-7"})
        assert taken.status_code == 409
        assert "machine of this name exists already" in taken.text
        assert (await other.post("/machines/add", data={"name": ""})).status_code == 422
        assert KEY.search((await other.get(address)).text) is None, "another session"
        assert (await other.get(f"{address}/rvm.json")).status_code == 404


async def test_a_new_key_is_made_once_and_the_old_one_is_dead(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        address, old = await added(client)
        async with await browser(hub) as other:
            page = (await other.get(address)).text
            form = {"instead_of": hidden(page, "instead_of")}
            for _ in range(2):
                assert (await other.post(address, data=form)).headers["location"] == address
            new = key_in((await other.get(address)).text)
        assert new != old
        assert old not in (await client.get(address)).text, "it opens nothing any more"
    rvm_id = int(address.split("/")[2])
    for key, status in ((old, 401), (new, 200)):
        async with hub.client(key) as client:
            assert (await client.get(f"/api/v2/rvms/{rvm_id}")).status_code == status
    async with hub.of("admin") as admin:
        events = (await admin.get(f"/api/v2/rvms/{rvm_id}/events?code=machine.key_rotated")).json()["data"]
    assert [event["actor"] for event in events] == [f"user:{hub.users['admin']}"]


async def test_a_machine_is_removed_when_its_name_is_typed(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        assert 'href="/machines/1/remove"' in (await client.get("/machines/1/settings")).text
        assert "Type one to confirm" in (await client.get("/machines/1/remove")).text
        wrong = await client.post("/machines/1/remove", data={"name": "two"})
        assert wrong.status_code == 422
        assert "Nothing was removed" in wrong.text
        assert 1 in hub.context.fleet.machines
        answer = await client.post("/machines/1/remove", data={"name": " one "})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?gone=one")
        assert "<bdi>one</bdi></b>: this machine was removed." in (await client.get("/?gone=one")).text
        assert (await client.get("/machines/1")).status_code == 404
    assert 1 not in hub.context.fleet.machines


@pytest.mark.parametrize(
    ("name", "typed"), [("Caf\u00e9", "Cafe\u0301"), ("Mall  A\u00a01", "Mall A 1")], ids=["composed", "spaces"]
)
async def test_a_name_is_typed_as_it_is_seen(hub: ApiHub, name: str, typed: str) -> None:
    async with await browser(hub) as client:
        address = (await added(client, name))[0].removesuffix("/key")
        assert (await client.post(f"{address}/remove", data={"name": typed[1:]})).status_code == 422
        assert (await client.post(f"{address}/remove", data={"name": typed})).status_code == 303
        assert (await client.get(address)).status_code == 404


@pytest.mark.parametrize(
    "address",
    ["https://rvm.example.id", "http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost:8001",
     "http://192.168.1.20:8001", "http://[fd00::7]"],
)  # fmt: skip
def test_the_agent_takes_the_file_as_it_stands(tmp_path: Path, address: str) -> None:
    file = tmp_path / "rvm.json"
    file.write_text(config_text(address, machine(device_id="mall-7"), "rvmk_" + "a" * 40), "utf-8")
    found = agent_settings.load(file, {})
    assert (found.base_url, found.device_id) == (address, "mall-7")


async def test_a_key_is_renewed_over_the_link_and_the_renewal_can_be_given_up(hub: ApiHub) -> None:
    found = hub.context.fleet.machines[1]
    found.seen_at = now = hub.context.clock()
    async with await browser(hub) as client:
        assert "only while it is" in (await client.get("/machines/1/key")).text  # not connected
        assert (await client.post("/machines/1/key", data={"do": "renew"})).headers["location"] == "/machines/1/key"
        found.linked = True
        assert 'value="renew"' in (await client.get("/machines/1/key")).text
        job = (await client.post("/machines/1/key", data={"do": "renew"})).headers["location"]
        (command,) = found.pending.values()
        assert (job, command.name, command.args) == (f"/jobs/{command.id}", "renew_key", {})
        page = (await client.get("/machines/1/key")).text
        assert job in page
        assert 'value="renew"' not in page
        assert "Renew the machine’s key" in html.unescape((await client.get(job)).text)
        made = {"next_api_key": "1" * 64, "next_api_key_prefix": "rvmk_ABCDEFGH", "next_api_key_at": now}
        await hub.context.announce(Patch(MachineRow, 1, {**made, "updated_at": now}))
        page = (await client.get("/machines/1/key")).text
        assert "rvmk_ABCDEFGH" in page
        assert "1" * 64 not in page
        assert (await client.post("/machines/1/key", data={"do": "withdraw"})).status_code == 303
        assert found.row.next_api_key is None
        assert found.pending == {}  # it never left, and nobody asks for a key any more
    async with hub.of("admin") as admin:
        shown = (await admin.get("/api/v2/rvms/1")).json()["data"]
        assert not {name for name in shown if name.startswith("next_api_key")}
