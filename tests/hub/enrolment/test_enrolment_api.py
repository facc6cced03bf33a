"""Codes, machines that come with one, and who decides: over REST, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hub.enrolment import rules
from hub.enrolment.service import Enrolments
from hub.web.auth.limits import AddressLimiter
from protocol.enrolment import fingerprint, key_hash
from tests.support.api_hub import ApiHub


def key(number: int = 0) -> str:
    """As a machine makes it for itself."""
    return f"rvmk_AAAAAAA{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number]}_{number:032d}"


def request(code: str, number: int = 0, **facts: Any) -> dict[str, Any]:
    text = key(number)
    return {"code": code, "key_prefix": text[:13], "key_hash": key_hash(text), "hostname": "jetson"} | facts


async def new_code(admin: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    answer = await admin.post("/api/v2/enrolment-codes", json=wanted)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def enrol(hub: ApiHub, code: str, number: int = 0, address: str = "10.0.0.9", **facts: Any) -> httpx.Response:
    async with hub.client(address=address) as board:
        return await board.post("/api/v2/enrol", json=request(code, number, **facts))


async def test_codes_made_at_once_stay_within_the_limit(any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_CODES", 2)
    async with any_hub.of("admin") as admin:
        asked = [admin.post("/api/v2/enrolment-codes", json={}) for _ in range(4)]
        assert sorted(one.status_code for one in await asyncio.gather(*asked)) == [201, 201, 409, 409]


async def test_a_machine_waits_is_approved_and_its_own_key_works(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        code = (await new_code(admin))["code"]
        waits = (await enrol(any_hub, code.lower().replace("-", " "), model="Orin Nano")).json()["data"]
        assert waits == {
            "state": "waiting", "fingerprint": fingerprint(key_hash(key())), "device_id": None, "name": None,
            "retry_s": 5.0,
        }  # fmt: skip
        async with any_hub.client(key()) as machine:
            assert (await machine.get("/api/v2/rvms")).status_code == 401
        (listed,) = (await admin.get("/api/v2/enrolments", params={"state": "waiting"})).json()["data"]
        assert (listed["fingerprint"], listed["model"], listed["ip_address"]) == (
            waits["fingerprint"], "Orin Nano", "10.0.0.9",
        )  # fmt: skip
        assert key_hash(key()) not in str(listed)
        named = {"name": "Kantin Timur", "location_description": "Lantai 1"}
        approved = await admin.post(f"/api/v2/enrolments/{listed['id']}/approve", json=named)
        assert approved.json()["data"]["machine"] == "Kantin Timur"
        again = await admin.post(f"/api/v2/enrolments/{listed['id']}/reject")
        assert again.status_code == 409
    standing = (await enrol(any_hub, "")).json()["data"]
    assert (standing["state"], standing["name"]) == ("approved", "Kantin Timur")
    async with any_hub.client(key()) as machine:
        (own,) = (await machine.get("/api/v2/rvms")).json()["data"]
        assert (own["device_id"], own["location_description"]) == (standing["device_id"], "Lantai 1")


async def test_a_code_is_good_once_and_the_same_machine_is_the_same_enrolment(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        code = (await new_code(admin, approval="at_once"))["code"]
        first = (await enrol(any_hub, code)).json()["data"]
        assert first["state"] == "approved"
        assert (await enrol(any_hub, code)).json()["data"] == first
        other = await enrol(any_hub, code, 1)
        assert (other.status_code, other.json()["code"]) == (403, "enrolment_code")
        names = [one["name"] for one in (await admin.get("/api/v2/rvms")).json()["data"]]
        assert names.count("jetson") == 1
        assert (await admin.get("/api/v2/enrolment-codes")).json()["data"] == []


async def test_twenty_machines_with_one_code_of_twelve_uses(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        code = (await new_code(admin, uses=12, approval="at_once"))["code"]
        answers = await asyncio.gather(*(enrol(any_hub, code, number) for number in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 12 + [403] * 8
        names = {one["name"] for one in (await admin.get("/api/v2/rvms")).json()["data"]}
        assert {"jetson", "jetson 2", "jetson 12"} <= names


async def test_unknown_used_expired_and_revoked_codes_are_answered_alike(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        used, revoked, expired = [await new_code(admin, approval="at_once") for _ in range(3)]
        await enrol(any_hub, used["code"])
        assert (await admin.delete(f"/api/v2/enrolment-codes/{revoked['id']}")).status_code == 204
        assert (await admin.delete(f"/api/v2/enrolment-codes/{revoked['id']}")).status_code == 204
        now = any_hub.context.clock
        any_hub.context.clock = lambda: now() + timedelta(hours=1, seconds=1)
        wrong = [used["code"], revoked["code"], expired["code"], "RVM-2222-2222-2222", "nonsense", ""]
        answers = [await enrol(any_hub, code, number + 1) for number, code in enumerate(wrong)]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1


async def test_guesses_at_codes_are_few_and_a_good_code_costs_nothing(hub: ApiHub) -> None:
    hub.context[Enrolments].wrong_codes = AddressLimiter(burst=5)
    async with hub.of("admin") as admin:
        code = (await new_code(admin, uses=30, approval="at_once"))["code"]
    for number in range(8):
        assert (await enrol(hub, code, number)).status_code == 200
    guesses = [await enrol(hub, f"RVM-2222-2222-222{2 + number}", 20) for number in range(7)]
    assert [answer.status_code for answer in guesses] == [403] * 5 + [429] * 2
    assert int(guesses[-1].headers["retry-after"]) >= 1
    assert (await enrol(hub, code, 21, address="10.0.9.9")).status_code == 200
    assert (await enrol(hub, "", 0)).status_code == 200, "who is in asks on"


async def test_a_machine_with_a_new_board_keeps_its_row_and_the_old_key_is_over(any_hub: ApiHub) -> None:
    rvm_id = any_hub.machines["one"]
    async with any_hub.of("admin") as admin:
        code = (await new_code(admin, rvm_id=rvm_id, approval="at_once"))["code"]
        assert (await enrol(any_hub, code)).json()["data"]["device_id"] == "dev-one"
        async with any_hub.client(any_hub.keys["one"]) as old, any_hub.client(key()) as new:
            assert (await old.get("/api/v2/rvms")).status_code == 401
            assert (await new.get("/api/v2/rvms")).json()["data"][0]["id"] == rvm_id
        events = (await admin.get(f"/api/v2/rvms/{rvm_id}/events")).json()["data"]
        assert events[0]["code"] == "machine.enrolled"
        wrong = await admin.post("/api/v2/enrolment-codes", json={"rvm_id": 9999})
        assert "rvm_id" in wrong.json()["errors"]
        wrong = await admin.post("/api/v2/enrolment-codes", json={"rvm_id": rvm_id, "uses": 2})
        assert "uses" in wrong.json()["errors"]


async def test_a_waiting_machine_can_be_approved_as_another_of_the_fleet(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        code = (await new_code(admin))["code"]
        await enrol(hub, code)
        (waits,) = (await admin.get("/api/v2/enrolments")).json()["data"]
        path = f"/api/v2/enrolments/{waits['id']}/approve"
        assert (await admin.post(path, json={"name": "two"})).status_code == 409
        assert (await admin.post(path, json={"rvm_id": 9999})).status_code == 422
        approved = (await admin.post(path, json={"rvm_id": hub.machines["two"]})).json()["data"]
    assert (approved["state"], approved["machine"]) == ("approved", "two")


async def test_many_are_approved_and_refused_at_once_each_by_itself(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        code = (await new_code(admin, uses=4))["code"]
        for number in range(4):
            await enrol(any_hub, code, number)
        ids = [one["id"] for one in (await admin.get("/api/v2/enrolments")).json()["data"]]
        await admin.post(f"/api/v2/enrolments/{ids[0]}/reject")
        approved = await admin.post("/api/v2/enrolments/approve", json={"ids": [*ids[:3], 9999]})
        assert [one["state"] for one in approved.json()["data"]] == ["rejected", "approved", "approved", None]
        refused = await admin.post("/api/v2/enrolments/reject", json={"ids": ids})
        assert [one["state"] for one in refused.json()["data"]] == ["rejected", "approved", "approved", "rejected"]
    states = [(await enrol(any_hub, "", number)).json()["data"]["state"] for number in range(4)]
    assert sorted(states) == ["approved", "approved", "rejected", "rejected"]


async def test_two_who_decide_at_once_decide_once(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        await enrol(any_hub, (await new_code(admin))["code"])
        (waits,) = (await admin.get("/api/v2/enrolments")).json()["data"]
        path = f"/api/v2/enrolments/{waits['id']}"
        answers = await asyncio.gather(
            *(admin.post(f"{path}/approve", json={"name": f"A {n}"}) for n in range(3)), admin.post(f"{path}/reject")
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        names = [one["name"] for one in (await admin.get("/api/v2/rvms")).json()["data"]]
    assert len([name for name in names if name.startswith("A ")]) <= 1


async def test_a_removed_machine_or_one_with_another_key_is_refused(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        await enrol(hub, (await new_code(admin, approval="at_once"))["code"])
        (came,) = (await admin.get("/api/v2/enrolments")).json()["data"]
        await admin.post(f"/api/v2/rvms/{came['rvm_id']}/key")
        assert (await enrol(hub, "")).json()["data"]["state"] == "rejected"


async def test_codes_and_approvals_are_for_signed_in_administrators(hub: ApiHub) -> None:
    async with hub.of("operator") as operator, hub.program("admin") as program:
        for who in (operator, program):
            assert (await who.post("/api/v2/enrolment-codes", json={})).status_code == 403
            assert (await who.post("/api/v2/enrolments/approve", json={"ids": [1]})).status_code == 403
        assert (await operator.get("/api/v2/enrolments")).status_code == 403
        assert (await program.get("/api/v2/enrolments")).status_code == 200
        assert (await program.post("/api/v2/enrolments/reject", json={"ids": [1]})).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"uses": 0}, {"uses": 1001}, {"expires_in": 59}, {"approval": "never"}, {"name": ""}]
)
async def test_a_code_out_of_bounds_is_refused_by_its_member(hub: ApiHub, wrong: dict[str, Any]) -> None:
    async with hub.of("admin") as admin:
        answer = await admin.post("/api/v2/enrolment-codes", json=wrong)
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == set(wrong)
