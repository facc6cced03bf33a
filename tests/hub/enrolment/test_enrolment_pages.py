"""The pages of enrolment as a person without script uses them, in both languages."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import httpx
import pytest

from hub.links import rules as link_rules
from hub.model.machine import Machine
from protocol.enrolment import fingerprint, key_hash
from protocol.errors import RemoteProtocolError
from tests.hub.enrolment.test_enrolment_api import enrol, key
from tests.support.api_hub import ApiHub
from tests.support.machines import hello
from tests.support.page_visitor import browser


def shown(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.text))


def code_on(answer: httpx.Response) -> str:
    found = re.search(r"RVM(-[2-9A-Z]{4}){3}", answer.text)
    assert found is not None
    return found[0]


FORM = {"name": "Kantin Timur", "location_description": "Lantai 1"}


@pytest.mark.parametrize("language", ["en", "id"])
async def test_one_machine_from_the_form_to_its_first_readings(hub: ApiHub, language: str) -> None:
    async with await browser(hub, language=language) as page:
        added = await page.post(
            "/admin/enrol/machine", data={"name": "Kantin Timur", "location_description": "Lantai 1"}
        )
        place = added.headers["location"]
        again = await page.post("/admin/enrol/machine", data={"name": "Kantin Timur"})
        assert (added.status_code, again.headers["location"]) == (303, place)
        first = await page.get(place)
        code = code_on(first)
        command = f"printf '%s\\n' {code} | python3 run_device.py enrol http://hub.test --code - --allow-plain-http"
        assert command in shown(first)
        assert {"en": "Waiting for the machine", "id": "Menunggu mesin"}[language] in shown(first)
        assert {"en": "Make another code instead", "id": "Buat kode lain"}[language] in shown(first)
        assert {"en": "Make a one-time code", "id": "Buat kode sekali pakai"}[language] not in shown(first)
        await enrol(hub, code, hostname="orin-7", model="Orin NX")
        mark = fingerprint(key_hash(key()))
        part = await page.get(f"{place}/parts")
        assert mark in shown(part)
        assert "orin-7" in shown(part)
        (button,) = re.findall(r'value="(approve \d+)"', part.text)
        decided = await page.post("/admin/enrol/decide", data={"do": button, "back": place})
        assert decided.headers["location"] == place
        assert "run_device.py --config" in shown(await page.get(place))
        machine = hub.context.fleet.by_key_prefix(key()[:13])
        assert isinstance(machine, Machine)
        assert (machine.name, machine.row.location_description) == ("Kantin Timur", "Lantai 1")


async def test_a_minute_without_a_machine_brings_checks_and_a_new_code_voids_the_old(hub: ApiHub) -> None:
    async with await browser(hub) as page:
        place = (await page.post("/admin/enrol/machine", data={"name": "K"})).headers["location"]
        first = await page.get(place)
        code, number = code_on(first), re.search(r'name="instead_of" value="(\d+)"', first.text)
        assert number is not None
        now = hub.context.clock
        hub.context.clock = lambda: now() + timedelta(seconds=61)
        assert "curl -sS" in shown(await page.get(place))
        await page.post(place, data={"instead_of": number[1]})
        await page.post(place, data={"instead_of": number[1]})
        newer = code_on(await page.get(place))
        assert newer != code
        assert (await enrol(hub, code)).status_code == 403
        assert (await enrol(hub, newer, 1)).status_code == 200
        hub.context.clock = lambda: now() + timedelta(hours=3)
        assert "fingerprint" in shown(await page.get(place))


async def test_a_fleet_code_its_waiting_room_and_both_decisions_at_once(hub: ApiHub) -> None:
    async with await browser(hub) as page:
        form = {"name": "Bandung", "uses": "4", "expires_in": "86400", "approval": "waiting"}
        assert (await page.post("/admin/enrol", data=form)).status_code == 303
        made = await page.get("/admin/enrol")
        code = code_on(made)
        assert "Bandung" in shown(made)
        for number in range(4):
            await enrol(hub, code, number, hostname=f"orin-{number}")
        part = await page.get("/admin/enrol/parts")
        boxes = re.findall(r'name="enrolment" value="(\d+)"', part.text)
        assert len(boxes) == 4
        assert "orin-3" in shown(part)
        assert code not in part.text
        await page.post("/admin/enrol/decide", data={"do": "approve", "enrolment": boxes[:2]})
        await page.post("/admin/enrol/decide", data={"do": f"reject {boxes[2]}", "enrolment": boxes})
        names = {m.name for m in hub.context.fleet.machines.values()}
        assert {"orin-3", "orin-2"} <= names
        assert "orin-1" not in names
        left = await page.get("/admin/enrol")
        assert re.findall(r'name="enrolment" value="(\d+)"', left.text) == boxes[3:]
        assert shown(left).count("Approved") == 2


async def test_a_code_can_be_revoked_and_what_is_wrong_in_the_form_is_said(hub: ApiHub) -> None:
    async with await browser(hub) as page:
        wrong = await page.post("/admin/enrol", data={"uses": "many", "expires_in": "3600", "name": "Stays"})
        assert wrong.status_code == 422
        assert 'value="Stays"' in wrong.text
        await page.post("/admin/enrol", data={"uses": "1", "expires_in": "3600"})
        code = code_on(await page.get("/admin/enrol"))
        (address,) = re.findall(r'action="(/admin/enrol/codes/\d+/revoke)"', (await page.get("/admin/enrol")).text)
        await page.post(address)
        assert (await enrol(hub, code)).status_code == 403
        taken = await page.post("/admin/enrol/machine", data={"name": "one"})
        assert taken.status_code == 409
        assert 'value="one"' in taken.text


async def test_only_who_made_a_code_sees_it_and_only_administrators_come_here(hub: ApiHub) -> None:
    async with await browser(hub) as page:
        await page.post("/admin/enrol", data={"uses": "1", "expires_in": "3600"})
        code = code_on(await page.get("/admin/enrol"))
    async with await browser(hub) as elsewhere, await browser(hub, "operator") as operator:
        assert code not in (await elsewhere.get("/admin/enrol")).text
        assert (await operator.get("/admin/enrol")).status_code == 403
        assert (await operator.get(f"/machines/{hub.machines['one']}/enrol")).status_code == 403


async def test_a_different_board_is_told_accepted_or_refused(any_hub: ApiHub) -> None:
    hub, rvm_id = any_hub, any_hub.machines["one"]
    boards: list[dict[str, object]] = [
        {"board_serial": serial, "machine_id": "a" * 64, "model": "Orin NX"} for serial in ("1424", "1599", "1700")
    ]

    async def hello_from(number: int) -> None:
        said = hello("dev-one", hardware=boards[number])
        machine = hub.context.fleet.machines[rvm_id]
        now = hub.context.clock()
        await hub.context.announce(*link_rules.introduce(machine, said, number + 1, "10.0.0.7", now, "UTC"))

    place, decide = f"/machines/{rvm_id}/enrol", f"/machines/{rvm_id}/board"
    async with await browser(hub) as page, hub.of("admin") as admin:
        await hello_from(0)
        assert "1424" not in shown(await page.get(place))
        await hello_from(1)
        asked = shown(await page.get(place))
        assert "1424" in asked
        assert "1599" in asked
        assert "different board" in shown(await page.get("/"))
        await page.post(decide, data={"do": "accept"})
        assert "different board" not in shown(await page.get("/"))
        again = await admin.post(f"/api/v2/rvms/{rvm_id}/board/accept")
        assert again.status_code == 409
        await hello_from(2)
        await page.post(decide, data={"do": "refuse"})
        with pytest.raises(RemoteProtocolError):
            link_rules.check_hello(hub.context.fleet.machines[rvm_id], hello("dev-one", hardware=boards[2]))
        events = (await admin.get(f"/api/v2/rvms/{rvm_id}/events")).json()["data"]
    told = [event["code"] for event in events if event["code"].startswith("machine.board")]
    assert told == ["machine.board_refused", "machine.board_changed", "machine.board_accepted", "machine.board_changed"]


async def test_the_page_of_a_machine_without_a_code_names_none(hub: ApiHub) -> None:
    machine = hub.context.fleet.machines[1]
    async with await browser(hub) as page:
        assert "used or over" not in shown(await page.get("/machines/1/enrol"))
        machine.connection = "live"
        assert "connected" in shown(await page.get("/machines/1/enrol/parts")).lower()
