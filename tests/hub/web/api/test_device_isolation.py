"""Bar 53: machine A never reads or writes machine B, by path or by body; and nothing secret is ever shown."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from db.queries import samples
from db.records import TokenRow
from hub.links.links import Links
from hub.model import budgets, credentials
from hub.model.budgets import MachineBudget
from hub.model.changes import Put, put_rows
from hub.people import rules
from hub.remote.rules import requests
from hub.routes import OPERATIONS
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
    assert (two.row.status, two.readings) == ("active", None)


async def test_two_machines_with_the_same_boot_and_numbers_do_not_meet(hub: ApiHub) -> None:
    numbered = [{"timestamp": "2026-01-01T00:00:00Z", "boot_id": "same", "seq": n} for n in range(3)]
    for name, rvm_id in (("one", 1), ("two", 2)):
        async with hub.of(name) as machine:
            answer = await machine.post(f"/api/v2/rvms/{rvm_id}/metrics", json=numbered)
            assert answer.json()["data"]["stored"] == 3


async def test_a_machine_that_reports_all_the_time_is_asked_to_wait(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each report would be a line that nobody may delete."""
    monkeypatch.setattr(budgets, "LINES_AT_ONCE", 2)
    hub.context[Links].budget = MachineBudget()
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
    """Whoever happens to choose another's key must not be told that their request was done."""
    request, key = {"status": "full"}, {"Idempotency-Key": "1"}
    async with hub.of("operator") as operator, hub.of("admin") as admin:
        assert (await operator.patch("/api/v2/rvms/1/status", json=request, headers=key)).status_code == 200
        assert (await operator.patch("/api/v2/rvms/1/status", json=request, headers=key)).status_code == 200
        assert (await admin.patch("/api/v2/rvms/1/status", json=request, headers=key)).status_code == 409


async def test_a_machine_named_like_anothers_number_takes_nothing_over(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        refused = await admin.post("/api/v2/rvms", json={"name": "fake", "device_id": "1"})
        assert refused.status_code == 422


async def test_no_answer_to_a_get_holds_a_secret_or_a_hash(hub: ApiHub) -> None:
    now = hub.context.clock()
    user_id = await hub.add_user("boss", "admin", password=PASSWORD)
    session = await hub.add_session("boss")
    link, made_link = rules.make_link(user_id, now)
    token = credentials.new_secret("token")
    made = await hub.context.announce(Put(made_link), *rules.create_token(user_id, "t", token, None, now, "system"))
    assert list(put_rows(made, TokenRow))
    async with hub.of("admin") as admin:
        await admin.post("/api/v2/rvms/1/key")
        await admin.patch(f"/api/v2/users/{user_id}", json={"password": "another canary phrase"})
        canaries = [session, link.text, token.text, *hub.keys.values(), *hub.tokens.values(), PASSWORD, "canary phrase"]
        canaries += [credentials.hash_of(text) for text in canaries]
        canaries += ["argon2", *(m.row.api_key or "-" for m in hub.context.fleet.machines.values())]
        for operation in OPERATIONS:
            if operation.method != "GET":
                continue
            path = operation.path.replace("{id}", "1").replace("{user_id}", str(user_id))
            answer = await admin.get(f"/api{path}")
            shown = answer.text + str(answer.headers)
            assert not [canary for canary in canaries if canary in shown], operation.name


ON_SITE = "/api/v2/rvms/1/remote-access/start"


async def test_whoever_a_key_says_is_there_the_answer_is_the_same(any_hub: ApiHub) -> None:
    """Somebody who may, somebody who may not, somebody disabled, and nobody."""
    hub = any_hub
    gone = await hub.add_user("gone", "admin")
    async with hub.of("admin") as admin:
        assert (await admin.patch(f"/api/v2/users/{gone}", json={"disabled": True})).status_code == 200
    answers = []
    async with hub.of("one") as one:
        for claimed in (hub.users["operator"], hub.users["viewer"], gone, 999_999, None):
            begun = await one.post(ON_SITE, json={"admin_id": claimed, "reason": "belt"})
            ended = await one.post(ON_SITE.replace("start", "stop"), json={"admin_id": claimed})
            assert (begun.status_code, ended.status_code) == (201, 200), begun.text + ended.text
            data = begun.json()["data"]
            assert (data["admin_id"], data["admin_name"], data["origin"]) == (None, "", "site")
            different = ("id", "start_time", "expires_at", "created_at", "command_id")
            answers.append({name: value for name, value in data.items() if name not in different})
    assert all(answer == answers[0] for answer in answers)
    async with hub.of("admin") as admin:
        found = (await admin.get("/api/v2/rvms/1/events?code=remote.requested")).json()["data"]
        table = (await admin.get("/api/v2/rvms/1/events?code=remote.requested&format=csv&language=en")).text
    claims = [event["params"].get("claimed") for event in reversed(found)]
    assert claims == [hub.users["operator"], hub.users["viewer"], gone, 999_999, None]
    assert {event["params"]["holder"] for event in found} == {""}
    assert "according to the machine, operator is there" in table
    assert "according to the machine, user 999999 is there" in table


async def test_whom_a_key_names_has_no_session_by_it(hub: ApiHub) -> None:
    async with hub.of("one") as one:
        assert (await one.post(ON_SITE, json={"admin_id": hub.users["operator"]})).status_code == 201
    held = requests.count_of(hub.context.fleet.machines.values(), hub.users["operator"])
    assert held == 0


async def test_a_key_reads_no_name_and_no_address_of_anybody(any_hub: ApiHub) -> None:
    """Whatever people did to the machine, it is told numbers. (Who holds a lease from afar the hub itself tells it, so
    that who stands there can see it: none here does.)"""
    hub = any_hub
    for role in ("admin", "operator", "viewer"):
        await hub.add_user(f"zebedee-{role}", role)
    async with hub.of("zebedee-operator") as operator, hub.of("zebedee-admin") as admin, hub.of("one") as one:
        for answer in (
            await operator.patch("/api/v2/rvms/1/status", json={"status": "maintenance", "reason": "belt"}),
            await operator.post("/api/v2/rvms/1/commands", json={"name": "sync_timezone", "args": {}}),
            await admin.patch("/api/v2/rvms/1/config", json={"metrics_interval": 20}),
            await admin.patch("/api/v2/rvms/1", json={"name": "Lobby"}),
            await one.post(ON_SITE, json={"admin_id": hub.users["zebedee-admin"]}),
        ):
            assert answer.is_success, answer.text
        read = [operation for operation in OPERATIONS if operation.method == "GET"]
        paths = {"/api" + operation.path.replace("{id}", "1") for operation in read if operation.action is not None}
        assert len(paths) > 15
        for path in sorted(paths | {"/api/v2/rvms/1/events?format=csv", "/api/v2/events?format=csv"}):
            answer = await one.get(path)
            assert "zebedee" not in answer.text.casefold(), path
        assert (await admin.get("/api/v2/rvms/1/events?format=csv")).text.count("zebedee-operator") > 0
        for path in ("/api/v2/rvms/1/events", "/api/v2/events"):
            assert (await one.get(path, params={"q": "zebedee"})).json()["data"] == [], "nor by looking for it"
            assert (await operator.get(path, params={"q": "zebedee"})).json()["data"] != []
