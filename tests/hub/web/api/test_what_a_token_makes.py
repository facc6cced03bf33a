"""A lent token makes nothing that lets somebody in after it, by any operation or page; and what ends a token does so at
once. Both are generated: an operation that answers a secret is found by the shape of its answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.records import MachineRow, UserRow
from db.sign_in_records import TwoStepRow
from hub.kernel.announce import Announcer
from hub.model import changes as c
from hub.model.access import ACTIONS, SIGNED_IN_ONLY
from hub.people.rules import end_sessions
from hub.routes import OPERATIONS
from hub.web.api.operation import Operation
from hub.web.auth.state import AuthState
from tests.hub.web.access_rows import FORMS, JSON, ROWS
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub
from tests.support.websocket_dial import dial

SECRETS = frozenset({"api_key", "enter", "recovery_codes", "secret", "sign_in_link", "ticket", "token", "url"})
"""Members of answers that let their holder in somewhere."""
OF_WHO_PROVED_IT = frozenset({"sign_in", "edit_account"})
"""They answer a session for the password itself; a token sets none (below)."""
OF_ONE_FILE = frozenset({"make_backup_download"})
"""A link to one archive, opened within a minute and only while who made it still might (tests/hub/backups)."""
FILLED = {"{id}": "1", "{user_id}": "4", "{command_id}": "x", "{token_id}": "99", "{key}": "cpu_threshold",
          "{enrolment_id}": "1"}  # fmt: skip
NEW = "quite another phrase 9"


def secrets_in(operation: Operation) -> set[str]:
    shapes = [shape for shape in operation.answers.values() if isinstance(shape, type)]
    structs = [shape for shape in shapes if issubclass(shape, msgspec.Struct)]
    return {f.name for shape in structs for f in msgspec.structs.fields(shape)} & SECRETS


def filled(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return path


def test_whatever_answers_a_secret_is_for_who_is_signed_in() -> None:
    makers = {op.name for op in OPERATIONS if secrets_in(op)} - OF_WHO_PROVED_IT - OF_ONE_FILE
    assert makers == {
        "add_machine", "rotate_key", "add_user", "invite_user", "create_token", "open_machine_page",
        "make_two_step_secret", "turn_two_step_on", "make_recovery_codes",
    }  # fmt: skip
    assert {op.action for op in OPERATIONS if op.name in makers} <= SIGNED_IN_ONLY
    assert set(ACTIONS) >= SIGNED_IN_ONLY
    assert {op.action for op in OPERATIONS} >= SIGNED_IN_ONLY


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.action in SIGNED_IN_ONLY], ids=lambda o: o.name)
async def test_a_token_makes_nothing_that_lets_in_and_who_is_signed_in_does(hub: ApiHub, operation: Operation) -> None:
    path, route = filled(f"/api{operation.path}"), f"{operation.method} /api{operation.path}"
    browser = hub.browser(await hub.add_session("admin"))
    outcomes: dict[str, httpx.Response] = {}
    for via, client in (("token", hub.program("admin")), ("login", hub.of("admin")), ("session", browser)):
        async with client:
            body: Any = JSON.get(route, {})
            if "name" in body:
                body = body | {"name": via}
            if "email" in body:
                body = body | {"email": f"{via}@b.c"}
            outcomes[via] = await client.request(operation.method, path, **({"json": body} if operation.body else {}))
    refused = outcomes.pop("token")
    assert refused.status_code == 403, refused.text
    assert "signed in" in refused.json()["detail"]
    assert {via: answer.status_code for via, answer in outcomes.items() if answer.status_code in (401, 403)} == {}


def ending_first(hub: ApiHub, monkeypatch: pytest.MonkeyPatch, *ends: c.Change) -> None:
    """What ends a way in is committed just before the next Changes, which were made by that way in."""
    before, waiting = Announcer.__call__, list(ends)

    async def late(self: Announcer, *made: c.Change) -> list[c.Change]:
        if waiting:
            first, waiting[:] = list(waiting), []
            hub.context[AuthState].on_commit(await before(self, *first))
        return await before(self, *made)

    monkeypatch.setattr(Announcer, "__call__", late)


async def somebody_at_the_door(hub: ApiHub, operation: Operation) -> None:
    """A machine that waits with its code, and another board with the first machine's key, which is linked."""
    now = hub.context.clock()
    hub.context.fleet.machines[1].linked = True
    offered: dict[str, Any] = {"next_api_key": "2" * 64, "next_api_key_prefix": "rvmk_BAAAAAAA", "next_api_key_at": now}
    code = EnrolmentCodeRow(
        hash="0" * 64, prefix="RVM-7K…", uses=4, approval="waiting", created_by="user:1", created_at=now,
        expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    waits = EnrolmentRow(
        code_id=1, state="waiting", key_prefix="rvmk_door", key_hash="1" * 64, created_at=now, last_seen_at=now
    )
    two_step = TwoStepRow(user_id=hub.users["technician"], secret="sealed", since=now, last_step=0)
    await hub.context.announce(
        c.Put(code),
        c.Patch(MachineRow, 1, {"board_other": {"serial": "2"}, "board_other_at": now}),
        *([c.Patch(MachineRow, 1, offered)] if operation.name == "withdraw_key" else ()),
        *([c.Put(two_step)] if operation.name == "reset_two_step" else ()),
    )
    await hub.context.announce(c.Put(waits))


ELSEWHERE = frozenset({"open_machine_page"} | {o.name for o in OPERATIONS if o.action == "account.secure"})
"""The second steps need a code that is right: tests/hub/people/two_step."""
WRITERS = [o for o in OPERATIONS if o.action in SIGNED_IN_ONLY and o.method != "GET" and o.name not in ELSEWHERE]


@pytest.mark.parametrize("operation", WRITERS, ids=lambda o: o.name)
async def test_nothing_that_lets_in_is_made_by_a_session_that_ends_meanwhile(
    any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    hub, admin = any_hub, any_hub.users["admin"]
    path, route = filled(f"/api{operation.path}"), f"{operation.method} /api{operation.path}"
    await somebody_at_the_door(hub, operation)
    async with hub.of("admin") as client:
        ending_first(hub, monkeypatch, end_sessions(admin))
        body: Any = {"json": JSON.get(route, {})} if operation.body else {}
        if operation.method == "PATCH":
            body = {"json": {"name": "late"}}
        refused = await client.request(operation.method, path, **body)
    assert refused.status_code == 401, refused.text


async def test_who_signs_in_with_a_password_that_is_replaced_meanwhile_is_not_in(
    any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, who = any_hub, await any_hub.add_user("boss", "admin", password=PASSWORD)
    new = c.Patch(UserRow, who, {"password_hash": "another"})
    async with hub.client() as client:
        ending_first(hub, monkeypatch, new)
        refused = await client.post("/api/v2/auth/login", json={"email": "boss@example.com", "password": PASSWORD})
    assert refused.status_code == 401, refused.text


async def test_pages_are_for_who_is_signed_in(hub: ApiHub) -> None:
    """Their forms make the same things; a token at one of them is nobody."""
    async with hub.client(hub.tokens["admin"], Origin=ORIGIN) as program:
        for route in ROWS:
            method, _, path = route.partition(" ")
            if method not in ("GET", "POST") or path.startswith(("/api", "/remote", "/static", "/login", "/signin")):
                continue
            if path in ("/logout", "/preferences"):
                continue
            place = filled(path.replace("{what:str}", "disable").replace("{action}", "reboot"))
            form = FORMS.get(route, {}) if method == "POST" else None
            answer = await program.request(method, place, data=form)
            assert (answer.status_code, answer.headers.get("location", "")[:6]) == (303, "/login"), route


async def test_a_token_sets_no_password_whatever_it_knows(hub: ApiHub) -> None:
    await hub.add_user("somchai", "viewer", password=PASSWORD)
    async with hub.program("somchai") as program:
        for body in ({"password": NEW}, {"password": NEW, "current_password": PASSWORD}):
            refused = await program.patch("/api/v2/auth/me", json=body)
            assert (refused.status_code, "token" in refused.json()["detail"]) == (403, True)
        assert (await program.patch("/api/v2/auth/me", json={"language": "id"})).status_code == 200


async def own_password(hub: ApiHub, admin: httpx.AsyncClient, user: str) -> None:
    async with hub.of("putri") as own:
        body = {"password": NEW, "current_password": PASSWORD}
        assert (await own.patch("/api/v2/auth/me", json=body)).status_code == 200


async def password_by_an_administrator(hub: ApiHub, admin: httpx.AsyncClient, user: str) -> None:
    assert (await admin.patch(user, json={"password": NEW})).status_code == 200


async def disabled_and_enabled_again(hub: ApiHub, admin: httpx.AsyncClient, user: str) -> None:
    for disabled in (True, False):
        assert (await admin.patch(user, json={"disabled": disabled})).status_code == 200


async def another_role(hub: ApiHub, admin: httpx.AsyncClient, user: str) -> None:
    assert (await admin.patch(user, json={"role": "viewer"})).status_code == 200


async def revoked_by_an_administrator(hub: ApiHub, admin: httpx.AsyncClient, user: str) -> None:
    listed = (await admin.get("/api/v2/tokens", params={"user": user.rpartition("/")[2]})).json()["data"]
    for token in listed:
        assert (await admin.delete(f"/api/v2/tokens/{token['id']}")).status_code == 204


@pytest.mark.parametrize(
    "remedy",
    [own_password, password_by_an_administrator, disabled_and_enabled_again, another_role, revoked_by_an_administrator],
    ids=lambda remedy: remedy.__name__,
)
async def test_a_remedy_ends_the_tokens_of_a_person_at_once(any_hub: ApiHub, remedy: Any) -> None:
    await any_hub.add_user("putri", "operator", password=PASSWORD)
    path, bearer = f"/api/v2/users/{any_hub.users['putri']}", {"Authorization": f"Bearer {any_hub.tokens['putri']}"}
    async with any_hub.of("admin") as admin, any_hub.program("putri") as program, any_hub.program("viewer") as other:
        for client in (program, other):
            assert (await client.get("/api/v2/auth/me")).status_code == 200
        assert await dial(any_hub.app, "/ws/dashboard", bearer) == 101
        await remedy(any_hub, admin, path)
        assert (await program.get("/api/v2/auth/me")).status_code == 401
        assert await dial(any_hub.app, "/ws/dashboard", bearer) == 401
        assert (await other.get("/api/v2/auth/me")).status_code == 200, "somebody else's goes on"
        kept = (await admin.get("/api/v2/tokens", params={"user": any_hub.users["putri"]})).json()["data"]
        assert [token["revoked_at"] is not None for token in kept] == [True]
        async with any_hub.of("putri") as own:
            expected = 200 if remedy is revoked_by_an_administrator else 401
            assert (await own.get("/api/v2/auth/me")).status_code == expected


async def test_administrators_see_everybodys_tokens_by_the_page(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        page = await admin.get("/api/v2/tokens", params={"user": "all", "limit": 3})
        rest = await admin.get(page.headers["link"].partition(">")[0][1:])
        assert "link" not in rest.headers
        listed = page.json()["data"] + rest.json()["data"]
        assert {token["user_id"] for token in listed} == {any_hub.users[name] for name in any_hub.tokens}
        assert [token["id"] for token in listed] == sorted((token["id"] for token in listed), reverse=True)
    async with any_hub.of("operator") as operator:
        for user in ("all", any_hub.users["admin"]):
            assert (await operator.get("/api/v2/tokens", params={"user": user})).status_code == 403
        own = await operator.get("/api/v2/tokens", params={"user": any_hub.users["operator"]})
        assert [token["name"] for token in own.json()["data"]] == ["test"]
