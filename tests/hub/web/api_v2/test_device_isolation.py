"""Bar 53: machine A never reads or writes machine B, by path or by body; and nothing secret is ever shown."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from db import samples
from hub.core import accounts, credentials, machine_budget, sign_in
from hub.core.changes import TokenCreated
from hub.core.machine_budget import MachineBudget
from hub.web.api_v2.table import OPERATIONS
from tests.support.api_hub import PASSWORD, ApiHub


async def test_what_a_body_claims_changes_nothing_about_who_it_is(hub: ApiHub) -> None:
    claims: dict[str, Any] = {"rvm_id": 2, "id": 2, "device_id": "dev-two", "machine": 2, "api_key": hub.keys["two"]}
    sample = {"timestamp": datetime.now(timezone.utc).isoformat(), "cpu_usage": 77.0}
    async with hub.of("one") as one:
        stored = await one.post("/api/v2/rvms/1/metrics", json=sample | claims)
        assert stored.status_code == 201
        refused = await one.patch("/api/v2/rvms/1/status", json={"status": "error"} | claims)
        assert refused.status_code == 422
        assert (await one.patch("/api/v2/rvms/1/status", json={"status": "error"})).status_code == 200
    found = await samples.latest(hub.context.store)
    assert list(found) == [1]
    two = hub.context.fleet.machines[2]
    assert (two.status, two.readings) == ("active", None)


async def test_two_machines_with_the_same_boot_and_numbers_do_not_meet(hub: ApiHub) -> None:
    numbered = [{"timestamp": "2026-01-01T00:00:00Z", "boot_id": "same", "seq": n} for n in range(3)]
    for name, rvm_id in (("one", 1), ("two", 2)):
        async with hub.of(name) as machine:
            answer = await machine.post(f"/api/v2/rvms/{rvm_id}/metrics", json=numbered)
            assert answer.json()["data"]["stored"] == 3


async def test_a_machine_that_tells_of_itself_all_the_time_is_asked_to_wait(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each report would be a line that nobody may delete."""
    monkeypatch.setattr(machine_budget, "LINES_AT_ONCE", 2)
    hub.context.links.budget = MachineBudget()
    report = {"device_id": "1", "timezone": "Asia/Jakarta", "sync_method": "manual"}
    async with hub.of("one") as one, hub.of("operator") as operator, hub.of("two") as two:
        said = [await one.post("/api/v2/timezone/sync", json=report) for _ in range(3)]
        assert [answer.status_code for answer in said] == [200, 200, 429]
        assert said[-1].headers["retry-after"] == "1"
        assert (await one.patch("/api/v2/rvms/1/status", json={"status": "error"})).status_code == 429
        assert (await operator.post("/api/v2/timezone/sync", json=report)).status_code == 200
        assert (await two.patch("/api/v2/rvms/2/status", json={"status": "error"})).status_code == 200


async def test_an_idempotency_key_is_the_machines_own(hub: ApiHub) -> None:
    key = {"Idempotency-Key": "same"}
    async with hub.of("operator") as operator:
        ids = [
            (await operator.patch(f"/api/v2/rvms/{n}/status", json={"status": "full"}, headers=key)).json()["data"][
                "command"
            ]["id"]
            for n in (1, 2)
        ]
    assert len(set(ids)) == 2


async def test_an_idempotency_key_is_its_users_own(hub: ApiHub) -> None:
    """Whoever happens to choose another's key must not be told that their wish was done."""
    wish, key = {"status": "full"}, {"Idempotency-Key": "1"}
    async with hub.of("operator") as operator, hub.of("admin") as admin:
        assert (await operator.patch("/api/v2/rvms/1/status", json=wish, headers=key)).status_code == 200
        assert (await operator.patch("/api/v2/rvms/1/status", json=wish, headers=key)).status_code == 200
        assert (await admin.patch("/api/v2/rvms/1/status", json=wish, headers=key)).status_code == 409


async def test_a_machine_named_like_anothers_number_takes_nothing_over(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        refused = await admin.post("/api/v2/rvms", json={"name": "fake", "device_id": "1"})
        assert refused.status_code == 422


async def test_no_answer_to_a_get_holds_a_secret_or_a_hash(hub: ApiHub) -> None:
    now = hub.context.clock()
    user_id = await hub.add_user("boss", "admin", password=PASSWORD)
    session = await hub.add_session("boss")
    link, made_link = sign_in.make_link(user_id, now)
    token = credentials.new_user_token()
    made = await hub.context.announce(made_link, *accounts.create_token(user_id, "t", token, None, now, "system"))
    assert any(isinstance(change, TokenCreated) for change in made)
    async with hub.of("admin") as admin:
        await admin.post("/api/v2/rvms/1/key")
        await admin.patch(f"/api/v2/users/{user_id}", json={"password": "another canary phrase"})
        canaries = [session, link.text, token.text, *hub.keys.values(), *hub.tokens.values(), PASSWORD, "canary phrase"]
        canaries += [credentials.hash_of(text) for text in canaries]
        canaries += ["argon2", *(m.api_key_hash or "-" for m in hub.context.fleet.machines.values())]
        for operation in OPERATIONS:
            if operation.method != "GET":
                continue
            path = operation.path.replace("{id}", "1").replace("{user_id}", str(user_id))
            answer = await admin.get(f"/api{path}")
            shown = answer.text + str(answer.headers)
            assert not [canary for canary in canaries if canary in shown], operation.name
