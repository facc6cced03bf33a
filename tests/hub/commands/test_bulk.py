"""POST /commands: one request for many machines, one group, a row for each, the same answer for the same key."""

from __future__ import annotations

from typing import Any

import pytest

from db.errors import Conflict, Unavailable
from hub.model.changes import Change, EventHappened
from hub.model.credentials import new_secret
from hub.people.rules import TokenScope, create_token
from tests.hub.commands.test_commands import connect
from tests.support.api_hub import ApiHub

HOLIDAY = {"name": "set_status", "args": {"status": "inactive"}, "reason": "Libur Lebaran"}


async def send(hub: ApiHub, body: dict[str, Any], key: str | None = None, who: str = "operator") -> dict[str, Any]:
    async with hub.of(who) as client:
        answer = await client.post("/api/v2/commands", json=body, headers={"Idempotency-Key": key} if key else {})
    assert answer.status_code == 202, answer.text
    data: dict[str, Any] = answer.json()["data"]
    assert data["total"] == len(data["results"])
    return data


def codes(data: dict[str, Any]) -> list[str]:
    return [row["refused"]["code"] if row["refused"] else row["command"]["state"] for row in data["results"]]


async def test_each_machine_has_its_own_answer(any_hub: ApiHub) -> None:
    connect(any_hub, "one")
    data = await send(any_hub, {"name": "ping", "rvms": ["dev-two", 1, 99, "nowhere", "dev-one"]})
    assert codes(data) == ["machine_offline", "queued", "not_found", "not_found"]
    assert [(row["rvm_id"], row["device_id"]) for row in data["results"]] == [
        (2, "dev-two"), (1, "dev-one"), (99, None), (None, "nowhere"),
    ]  # fmt: skip
    assert data["results"][0]["refused"]["message"] == "The machine is offline, and this needs it online now."
    async with any_hub.of("operator") as operator:
        listed = (await operator.get("/api/v2/commands", params={"group": data["group_id"]})).json()["data"]
    assert [command["id"] for command in listed] == [data["results"][1]["command"]["id"]]


async def test_what_is_out_of_reach_does_not_exist(hub: ApiHub) -> None:
    data = await send(hub, HOLIDAY | {"rvms": [1, 2, 99]}, who="technician")
    assert codes(data) == ["queued", "not_found", "not_found"]
    out_of_reach, unknown = data["results"][1:]
    assert out_of_reach["refused"] == unknown["refused"]
    assert out_of_reach["device_id"] is None
    everything = await send(hub, HOLIDAY | {"filter": {"all": True}}, who="technician")
    assert [row["rvm_id"] for row in everything["results"]] == [1]


async def test_a_filter_means_the_machines_that_the_list_shows_for_it(hub: ApiHub) -> None:
    connect(hub, "two").connection = "live"
    assert [r["rvm_id"] for r in (await send(hub, HOLIDAY | {"filter": {"all": True}}))["results"]] == [1, 2]
    assert [r["rvm_id"] for r in (await send(hub, HOLIDAY | {"filter": {"connection": "live"}}))["results"]] == [2]
    assert [r["rvm_id"] for r in (await send(hub, HOLIDAY | {"filter": {"q": "ONE"}}))["results"]] == [1]
    assert (await send(hub, HOLIDAY | {"filter": {"status": "full"}}))["total"] == 0


async def test_the_same_key_answers_the_same_group_and_drafts_nothing_again(any_hub: ApiHub) -> None:
    first = await send(any_hub, HOLIDAY | {"rvms": [1, 2]}, key="k")
    again = await send(any_hub, HOLIDAY | {"rvms": [1, 2]}, key="k")
    assert again == first
    other = await send(any_hub, HOLIDAY | {"rvms": [1, 2]}, key="k", who="admin")
    assert other["group_id"] != first["group_id"], "a key is its owner's own"


async def test_a_call_that_was_interrupted_is_completed_by_its_repeat(any_hub: ApiHub) -> None:
    part = await send(any_hub, HOLIDAY | {"rvms": [1]}, key="k")
    whole = await send(any_hub, HOLIDAY | {"rvms": [1, 2]}, key="k")
    assert whole["group_id"] == part["group_id"]
    assert whole["results"][0] == part["results"][0]
    assert codes(whole) == ["queued", "queued"]


async def test_a_filter_that_would_match_others_now_does_not_make_the_group_grow(hub: ApiHub) -> None:
    first = await send(hub, HOLIDAY | {"filter": {"q": "one"}}, key="k")
    await hub.add_machine("one more")
    assert await send(hub, HOLIDAY | {"filter": {"q": "one"}}, key="k") == first


async def test_the_same_key_shows_no_machine_that_was_taken_from_a_technician(any_hub: ApiHub) -> None:
    request = HOLIDAY | {"filter": {"all": True}}
    technician = f"/api/v2/users/{any_hub.users['technician']}"
    async with any_hub.of("admin") as admin:
        assert (await admin.patch(technician, json={"machines": [1, 2]})).is_success
        first = await send(any_hub, request, key="k", who="technician")
        assert (await admin.patch(technician, json={"machines": [1]})).is_success
    again = await send(any_hub, request, key="k", who="technician")
    assert again["results"] == first["results"][:1]


async def test_a_key_is_a_narrow_tokens_own(any_hub: ApiHub) -> None:
    """Two scripts of one person, each for its own machines, with a key of the day."""
    asked = []
    for machines in ((1,), (2,), (1, 2)):
        secret, scope = new_secret("token"), TokenScope(machines=machines)
        owner, now = any_hub.users["operator"], any_hub.context.clock()
        await any_hub.context.announce(*create_token(owner, "x", secret, None, now, "system", scope))
        async with any_hub.client(secret.text) as script:
            body = HOLIDAY | {"filter": {"all": True}}
            for _ in range(2):
                answer = await script.post("/api/v2/commands", json=body, headers={"Idempotency-Key": "k"})
                asked.append([row["rvm_id"] for row in answer.json()["data"]["results"]])
    assert asked == [[1], [1], [2], [2], [1, 2], [1, 2]]


@pytest.mark.parametrize("other", [{"args": {"status": "full"}}, {"name": "sync_timezone", "args": {}}, {"rvms": [1]}])
async def test_a_key_used_for_something_else_is_refused(hub: ApiHub, other: dict[str, Any]) -> None:
    await send(hub, HOLIDAY | {"rvms": [1, 2]}, key="k")
    async with hub.of("operator") as operator:
        body = HOLIDAY | {"rvms": [1, 2]} | other
        refused = await operator.post("/api/v2/commands", json=body, headers={"Idempotency-Key": "k"})
    assert refused.status_code == 409


@pytest.mark.parametrize(
    ("wrong", "member"),
    [
        ({}, "rvms"), ({"rvms": [1], "filter": {"all": True}}, "rvms"), ({"rvms": []}, "rvms"),
        ({"rvms": list(range(1, 1002))}, "rvms"),
        ({"rvms": "all"}, "rvms"), ({"filter": {"stauts": "active"}}, "filter.stauts"),
        ({"filter": {"status": "broken"}}, "filter.status"), ({"rvms": [1], "args": {"status": "no"}}, "args.status"),
        ({"rvms": [1], "args": {"sttaus": "full"}}, "args.status"), ({"rvms": [1], "name": "start_backup"}, "name"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(hub: ApiHub, wrong: dict[str, Any], member: str) -> None:
    async with hub.of("operator") as operator:
        refused = await operator.post("/api/v2/commands", json=HOLIDAY | wrong)
    assert refused.status_code == 422, refused.text
    assert member in refused.json()["errors"]
    assert hub.context.fleet.open == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, 'say {"all": true}'), ({"all": None}, 'say {"all": true}'),
        ({"status": None, "q": ""}, 'say {"all": true}'),
        ({"all": True, "status": "active"}, "leave one of the two out"), ({"all": False}, "must be one of"),
    ],
)  # fmt: skip
async def test_everybody_must_be_meant(hub: ApiHub, given: dict[str, Any], says: str) -> None:
    connect(hub, "one")
    async with hub.of("operator") as operator:
        refused = await operator.post("/api/v2/commands", json={"name": "ping", "filter": given})
    assert refused.status_code == 422
    assert says in str(refused.json()["errors"])
    assert hub.context.fleet.open == {}


@pytest.mark.parametrize(("name", "args"), [("reboot", {}), ("restart_service", {"service": "rvm.service"})])
async def test_what_disturbs_many_needs_a_reason_and_of_one_it_may_go_without(
    hub: ApiHub, name: str, args: dict[str, Any]
) -> None:
    connect(hub, "one")
    request = {"name": name, "args": args}
    async with hub.of("operator") as operator:
        for reason in ({}, {"reason": None}, {"reason": "  "}):
            refused = await operator.post("/api/v2/commands", json=request | {"rvms": [1]} | reason)
            assert (refused.status_code, list(refused.json()["errors"])) == (422, ["reason"])
        assert hub.context.fleet.open == {}
        assert (await operator.post("/api/v2/rvms/1/commands", json=request)).status_code == 202
    assert codes(await send(hub, request | {"rvms": [1], "reason": "Kamera macet"})) == ["queued"]


async def test_many_machines_are_recorded_in_few_transactions(any_hub: ApiHub) -> None:
    for number in range(150):
        await any_hub.add_machine(f"m{number}")
    store: Any = any_hub.context.store
    submit = store.submit
    sizes: list[int] = []

    def count(steps: Any, on_commit: Any) -> Any:
        sizes.append(len(steps))
        return submit(steps, on_commit)

    store.submit = count
    data = await send(any_hub, HOLIDAY | {"filter": {"all": True}})
    assert (data["total"], set(codes(data))) == (152, {"queued"})
    assert len([size for size in sizes if size >= 52]) == 2
    assert sum(sizes) >= 2 * 152, "each with its event"


async def test_one_machine_removed_in_the_very_moment_does_not_undo_the_others(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce: Any = hub.context.announce
    tried: list[int] = []

    async def refuse_two(*changes: Change) -> Any:
        machines = {c.rvm_id for c in changes if isinstance(c, EventHappened)}
        tried.append(len(machines))
        if 2 in machines:
            raise Conflict("rvm_id", "missing")
        return await announce(*changes)

    monkeypatch.setattr(hub.context, "announce", refuse_two)
    data = await send(hub, HOLIDAY | {"rvms": [1, 2]})
    assert codes(data) == ["queued", "changed_meanwhile"]
    assert tried[0] == 2


@pytest.mark.parametrize(("unknown", "code"), [(False, "unavailable"), (True, "outcome_unknown")])
async def test_a_database_that_goes_away_in_the_middle_does_not_hide_what_was_recorded(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch, unknown: bool, code: str
) -> None:
    monkeypatch.setattr("hub.commands.bulk.AT_ONCE", 1)
    announce: Any = hub.context.announce

    async def refuse_two(*changes: Change) -> Any:
        if any(c.rvm_id == 2 for c in changes if isinstance(c, EventHappened)):
            raise Unavailable("away", outcome_unknown=unknown)
        return await announce(*changes)

    monkeypatch.setattr(hub.context, "announce", refuse_two)
    assert codes(await send(hub, HOLIDAY | {"rvms": [1, 2]})) == ["queued", code]
    async with hub.of("operator") as operator:
        nothing = await operator.post("/api/v2/commands", json=HOLIDAY | {"rvms": [2, 1]})
    assert nothing.status_code == 503
