"""Tokens that may do less than their owner: a lower role, some machines; and never more than is left to the owner."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.records import MachineRow, TokenRow, UserRow
from hub.model.access import ACTIONS, USER_ROLES, Principal, Role, is_above, may, narrowed
from hub.model.changes import Drop, EventHappened, Patch, put_rows
from hub.model.credentials import new_secret
from hub.people.rules import TokenScope, create_token
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser

Made = dict[str, Any]


async def made_token(hub: ApiHub, owner: str, **scope: Any) -> Made:
    async with hub.of(owner) as client:
        answer = await client.post("/api/v2/tokens", json={"name": "skrip", **scope})
    assert answer.status_code == 201, answer.text
    data: Made = answer.json()["data"]
    return data


async def reached(hub: ApiHub, token: str) -> list[str]:
    async with hub.client(token) as script:
        answer = await script.get("/api/v2/rvms")
    assert answer.status_code == 200, answer.text
    return sorted(machine["name"] for machine in answer.json()["data"])


async def refusal(hub: ApiHub, token: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
    async with hub.client(token) as script:
        answer = await script.request(method, f"/api/v2{path}", json=body)
    return answer.status_code, answer.json()["detail"]


async def test_a_script_that_only_reads_has_an_administrators_token_of_a_viewer(any_hub: ApiHub) -> None:
    made = await made_token(any_hub, "admin", role="viewer")
    assert (made["role"], made["machines"], made["tags"]) == ("viewer", None, None)
    assert await reached(any_hub, made["token"]) == ["one", "two"]
    async with any_hub.client(made["token"]) as script:
        assert (await script.get("/api/v2/auth/me")).json()["data"]["role"] == "viewer"
    status, why = await refusal(any_hub, made["token"], "PATCH", "/rvms/1/status", {"status": "full"})
    assert (status, why) == (
        403,
        "This needs the role Operator; this token has the role Viewer. Use a token that was made with a higher one.",
    )
    status, why = await refusal(any_hub, made["token"], "DELETE", "/auth/sessions")
    assert (status, why.partition(",")[0]) == (403, "This token may do less than its owner")
    async with any_hub.of("admin") as admin:
        (event,) = (await admin.get("/api/v2/events", params={"code": "token.created", "limit": 1})).json()["data"]
    assert (event["after"]["role"], "machines" in event["after"]) == ("viewer", False)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"machines": ["two"]}, ["two"]),
        ({"machines": [1]}, ["one"]),
        ({"sites": ["Grand Indonesia"]}, ["three"]),
        ({"tags": ["mall"]}, ["one"]),
        ({"machines": ["two"], "tags": ["mall"], "sites": []}, ["one", "two"]),
        ({"role": "viewer"}, ["one", "three", "two"]),
    ],
)
async def test_it_reaches_the_machines_that_were_chosen_as_a_technician_does(
    hub: ApiHub, scope: dict[str, Any], expected: list[str]
) -> None:
    three = await hub.add_machine("three")
    await hub.context.announce(
        Patch(MachineRow, three, {"location_description": "Grand Indonesia"}), Patch(MachineRow, 1, {"tags": ("mall",)})
    )
    made = await made_token(hub, "operator", **scope)
    assert await reached(hub, made["token"]) == expected


async def test_a_token_of_some_machines_does_nothing_to_the_others_nor_to_all(any_hub: ApiHub) -> None:
    token = (await made_token(any_hub, "admin", machines=["one"]))["token"]
    assert (await refusal(any_hub, token, "PATCH", "/rvms/2/config", {"values": {}}))[0] == 404
    status, why = await refusal(any_hub, token, "PATCH", "/config", {"values": {"cpu_threshold": 71}})
    assert (status, why) == (
        403, "This concerns all machines; this token is limited to some. Use one without that limit.",
    )  # fmt: skip
    async with any_hub.client(token) as script:
        assert (await script.patch("/api/v2/rvms/1", json={"location_description": "Lobi"})).status_code == 200
        assert (await script.get("/api/v2/users")).status_code == 403


async def taken_from_the_technician(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        answer = await admin.patch(f"/api/v2/users/{hub.users['technician']}", json={"machines": ["two"]})
    assert answer.status_code == 200, answer.text


async def removed(hub: ApiHub) -> None:
    await hub.context.announce(Drop(MachineRow, 1))


@pytest.mark.parametrize("ends", [taken_from_the_technician, removed])
async def test_what_its_owner_no_longer_reaches_it_does_not_and_nothing_comes_instead(
    any_hub: ApiHub, ends: Callable[[ApiHub], Any]
) -> None:
    token = (await made_token(any_hub, "technician", machines=["one"], role="viewer"))["token"]
    assert await reached(any_hub, token) == ["one"]
    await ends(any_hub)
    assert await reached(any_hub, token) == []


async def test_its_line_names_no_machine_that_its_owner_no_longer_reaches(hub: ApiHub) -> None:
    await made_token(hub, "technician", machines=["one"])
    await taken_from_the_technician(hub)
    await hub.context.announce(Patch(MachineRow, 1, {"name": "Rahasia"}))
    async with await browser(hub, "technician") as technician:
        page = (await technician.get("/admin/tokens")).text
    assert ("Rahasia" in page, "no machine: those it had are removed or no longer assigned" in page) == (False, True)


async def test_a_role_that_falls_takes_the_tokens_with_it(any_hub: ApiHub) -> None:
    """Also when the owner's row moved without ending their tokens, as a restore of the database may."""
    token = (await made_token(any_hub, "operator", role="operator", machines=["one"]))["token"]
    await any_hub.context.announce(Patch(UserRow, any_hub.users["operator"], {"role": "viewer"}))
    async with any_hub.client(token) as script:
        me = (await script.get("/api/v2/auth/me")).json()["data"]
    assert (me["role"], me["machines"]) == ("viewer", [1])


@pytest.mark.parametrize(
    ("owner", "scope", "field", "why"),
    [
        ("viewer", {"role": "admin"}, "role", "must not be above your own role: Viewer"),
        ("operator", {"machines": []}, "machines", "must name at least one machine, site or tag"),
        ("operator", {"tags": [" "]}, "tags", ""),
        ("operator", {"machines": ["nine"]}, "machines", "names no machine: nine"),
        ("operator", {"sites": ["Bulan"]}, "sites", "names a site where no machine stands: Bulan"),
        ("technician", {"machines": ["two"]}, "machines", "names no machine: two"),
        ("technician", {"machines": [2]}, "machines", "names no machine: 2"),
    ],
)
async def test_what_cannot_be_is_refused_by_the_name_of_the_field(
    hub: ApiHub, owner: str, scope: dict[str, Any], field: str, why: str
) -> None:
    async with hub.of(owner) as client:
        refused = await client.post("/api/v2/tokens", json={"name": "x", **scope})
        assert len((await client.get("/api/v2/tokens")).json()["data"]) == 1
    assert refused.status_code == 422, refused.text
    (told,) = [text for name, (text,) in refused.json()["errors"].items() if name.startswith(field)]
    assert told.startswith(why)


def test_each_role_may_all_that_those_below_it_may() -> None:
    for roles in ACTIONS.values():
        ranks = [role in roles for role in USER_ROLES]
        assert ranks == sorted(ranks), roles
    assert [is_above(role, "operator") for role in USER_ROLES] == [False, False, False, True]


some = st.none() | st.frozensets(st.integers(1, 4))
roles = st.sampled_from(USER_ROLES)


@given(roles, st.none() | roles, some, some)
def test_no_token_may_what_its_owner_may_not(
    own: Role, role: Role | None, theirs: frozenset[int] | None, chosen: frozenset[int] | None
) -> None:
    owner = Principal("user", 1, "A", own, theirs, "token", 1)
    token = narrowed(owner, role, chosen)
    for action in ACTIONS:
        for rvm_id in (None, 1, 2, 5):
            assert not may(token, action, rvm_id) or may(owner, action, rvm_id), action
            if role is not None and may(token, action, rvm_id):
                assert may(Principal("user", 1, "A", role, None, "token", 1), action, rvm_id), action
    assert chosen is None or not any(token.reaches(rvm_id) for rvm_id in {1, 2, 3, 4, 5} - chosen)
    assert narrowed(owner, None, None) == owner


def test_what_a_token_is_narrower_by_is_stored_and_on_record() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    made = create_token(3, "x", new_secret("token"), None, now, "user:3", TokenScope("viewer", (1, 2), ("mall",)))
    (row,) = put_rows(made, TokenRow)
    assert (row.role, row.machines, row.tags) == ("viewer", (1, 2), ("mall",))
    (event,) = [change for change in made if isinstance(change, EventHappened)]
    assert event.after is not None
    assert (event.after["role"], event.after["machines"], event.after["tags"]) == ("viewer", (1, 2), ("mall",))


async def test_the_form_makes_a_token_of_some_machines_and_its_line_says_so(any_hub: ApiHub) -> None:
    await any_hub.context.announce(Patch(MachineRow, 1, {"tags": ("mall",), "location_description": "Plaza"}))
    async with await browser(any_hub, "operator") as operator:
        page = (await operator.get("/admin/tokens")).text
        roles = re.search(r'<select id="role".*?</select>', page, re.DOTALL)
        assert roles is not None
        assert re.findall(r'value="(\w*)"', roles[0]) == ["", "viewer", "technician"]
        form = {"name": "skrip", "days": "365", "role": "viewer", "reach": "some"}
        refused = await operator.post("/admin/tokens", data=form)
        assert (refused.status_code, "Choose at least one machine, site or tag" in refused.text) == (422, True)
        assert re.search(r'value="some" class="opens" checked', refused.text), "what was typed stays"
        assert '<option value="viewer" selected>' in refused.text
        made = await operator.post("/admin/tokens", data={**form, "rvm": ["2"], "tag": ["mall"]})
        shown = (await operator.get(made.headers["location"])).text
        assert "only two, tag mall" in shown
    async with await browser(any_hub, "admin") as admin:
        events = (await admin.get("/events?code=token.created")).text
        assert re.search("“skrip” created.*?Viewer.*?only some machines", events, re.DOTALL)
    async with await browser(any_hub, "operator") as operator:
        (text,) = re.findall(r'<output id="token">(\w+)</output>', shown)
        assert await reached(any_hub, text) == ["one", "two"]
        await any_hub.context.announce(Drop(MachineRow, 2))
        assert "only tag mall" in (await operator.get("/admin/tokens")).text


async def test_the_form_of_a_technician_offers_their_own_machines(hub: ApiHub) -> None:
    async with await browser(hub, "technician") as technician:
        page = (await technician.get("/admin/tokens")).text
    assert re.findall(r'name="rvm" value="(\d+)"', page) == ["1"]
    async with await browser(hub, "viewer") as viewer:
        page = (await viewer.get("/admin/tokens")).text
    assert 'id="role"' not in page, "there is none below theirs"
