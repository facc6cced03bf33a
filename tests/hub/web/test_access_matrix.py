"""Bar 52: every route of the application x everybody who may come. A route that is not in the table fails.

Each row says what each caller gets: `ok` (let through, whatever the outcome), `who` (401, or to the sign-in page),
`role` (403), `hidden` (404, the same as for what does not exist).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from starlette.routing import Route, WebSocketRoute

from hub.core import accounts, command_desk, credentials
from hub.core.changes import Change, CommandDrafted, SessionExtended, TokenCreated, TokenRevoked, TokenUsed
from hub.web.api_v2.endpoint import Endpoint, Nowhere
from hub.web.page import Page
from tests.support.api_hub import ORIGIN, ApiHub, api_hub
from tests.support.websocket_dial import dial

CALLERS = (
    "none", "expired", "revoked", "viewer", "operator", "own_technician", "other_technician", "own_device",
    "other_device", "admin",
)  # fmt: skip


def row(viewer: str, operator: str, own_tech: str, other_tech: str, own: str, other: str, admin: str) -> dict[str, str]:
    outcomes = ("who", "who", "who", viewer, operator, own_tech, other_tech, own, other, admin)
    return dict(zip(CALLERS, outcomes, strict=True))


ANYONE = dict.fromkeys(CALLERS, "ok")
NOBODY = dict.fromkeys(CALLERS, "hidden")
READ = row("ok", "ok", "ok", "hidden", "ok", "hidden", "ok")
WORK = row("role", "ok", "ok", "hidden", "ok", "hidden", "ok")
COMMAND = row("role", "ok", "ok", "hidden", "role", "hidden", "ok")
CANCEL = row("role", "ok", "ok", "hidden", "role", "role", "ok")
PEOPLE_AT_WORK = row("role", "ok", "ok", "ok", "role", "role", "ok")
UPLOAD = row("role", "role", "role", "hidden", "ok", "hidden", "ok")
MANAGE = row("role", "role", "role", "hidden", "role", "hidden", "ok")
EVERYBODY = row("ok", "ok", "ok", "ok", "ok", "ok", "ok")
PEOPLE = row("ok", "ok", "ok", "ok", "role", "role", "ok")
OWN_TOKEN = row("hidden", "hidden", "hidden", "hidden", "role", "role", "hidden")
ADMIN = row("role", "role", "role", "role", "role", "role", "ok")
DEVICES = row("who", "who", "who", "who", "ok", "ok", "who") | {"none": "ok"}  # it may still say `auth`
PAGE = row("ok", "ok", "ok", "ok", "who", "who", "ok")
# By token, as all callers here: a token may not set the first password of somebody who has none.
FIRST_PASSWORD = row("role", "role", "role", "role", "who", "who", "role")
PAGE_OF_MACHINE = row("ok", "ok", "ok", "hidden", "who", "who", "ok")
WORK_ON_PAGE = row("role", "ok", "ok", "hidden", "who", "who", "ok")
PAGE_OF_ADMIN = row("role", "role", "role", "role", "who", "who", "ok")
NO_PAGE = row("hidden", "hidden", "hidden", "hidden", "who", "who", "hidden")

ROWS: dict[str, dict[str, str]] = {
    "POST /api/v2/auth/login": dict.fromkeys(CALLERS, "who"),
    "POST /api/v2/auth/logout": PEOPLE,
    "GET /api/v2/auth/me": EVERYBODY,
    "PATCH /api/v2/auth/me": PEOPLE,
    "GET /api/v2/rvms": EVERYBODY,
    "POST /api/v2/rvms": ADMIN,
    "GET /api/v2/rvms/{id}": READ,
    "PATCH /api/v2/rvms/{id}": MANAGE,
    "DELETE /api/v2/rvms/{id}": MANAGE,
    "POST /api/v2/rvms/{id}/key": MANAGE,
    "POST /api/v2/rvms/{id}/release": COMMAND,
    "GET /api/v2/rvms/{id}/status": READ,
    "PATCH /api/v2/rvms/{id}/status": WORK,
    "GET /api/v2/rvms/{id}/status/history": READ,
    "POST /api/v2/rvms/{id}/metrics": UPLOAD,
    "GET /api/v2/rvms/{id}/metrics": READ,
    "GET /api/v2/rvms/{id}/commands": READ,
    "POST /api/v2/rvms/{id}/commands": COMMAND,
    "GET /api/v2/commands": EVERYBODY,
    "POST /api/v2/commands": PEOPLE_AT_WORK,
    "GET /api/v2/commands/{command_id}": READ,
    "POST /api/v2/commands/{command_id}/cancel": CANCEL,
    "GET /api/v2/rvms/{id}/config": READ,
    "PATCH /api/v2/rvms/{id}/config": MANAGE,
    "GET /api/v2/rvms/{id}/config/{key}": READ,
    "PATCH /api/v2/rvms/{id}/config/{key}": MANAGE,
    "GET /api/v2/config": PEOPLE,
    "PATCH /api/v2/config": ADMIN,
    "POST /api/v2/timezone/sync": WORK,
    "GET /api/v2/timezone/status/{device_id}": READ,
    "POST /api/v2/timezone/sync/manual": row("role", "ok", "ok", "hidden", "role", "role", "ok"),
    "GET /api/v2/events": EVERYBODY,
    "GET /api/v2/rvms/{id}/events": READ,
    "GET /api/v2/users": ADMIN,
    "POST /api/v2/users": ADMIN,
    "GET /api/v2/users/{user_id}": ADMIN,
    "PATCH /api/v2/users/{user_id}": ADMIN,
    "DELETE /api/v2/users/{user_id}": ADMIN,
    "GET /api/v2/tokens": PEOPLE,
    "POST /api/v2/tokens": PEOPLE,
    "DELETE /api/v2/tokens/{token_id}": OWN_TOKEN,
    "GET /api/health": ANYONE,
    "GET /api/ready": ANYONE,
    "GET /api/v2/openapi.json": ANYONE,
    "GET /api/v2/docs": ANYONE,
    "ANY /api": NOBODY,
    "ANY /api/{rest:path}": NOBODY,
    "WS /ws/device": DEVICES,
    "WS /ws/dashboard": PEOPLE,
    "GET /static/{name}": NOBODY,
    "GET /": PAGE,
    "GET /login": ANYONE,
    "POST /login": dict.fromkeys(CALLERS, "who"),
    "GET /signin": ANYONE,
    "POST /signin": dict.fromkeys(CALLERS, "who"),
    "GET /logout": PAGE,  # to the account, or to sign in; only a form signs out
    "POST /logout": ANYONE,
    "GET /preferences": ANYONE,
    "POST /preferences": ANYONE,
    "GET /account": PAGE,
    "GET /account/password": PAGE,
    "POST /account/password": FIRST_PASSWORD,
    "GET /help": PAGE,
    "GET /jobs": PAGE,
    "GET /jobs/tally.json": PAGE,
    "GET /jobs/{command_id}": PAGE_OF_MACHINE,
    "GET /jobs/{command_id}/cancel": PAGE_OF_MACHINE,
    "POST /jobs/{command_id}/cancel": WORK_ON_PAGE,
    "GET /bulk": PAGE,
    "POST /bulk": row("role", "ok", "ok", "ok", "who", "who", "ok"),
    "GET /events": PAGE,
    "GET /events/lines.json": PAGE,
    "GET /machines/{id}/events": PAGE_OF_MACHINE,
    "GET /machines/add": PAGE,
    "POST /machines/add": PAGE_OF_ADMIN,
    "GET /machines/{id}": PAGE_OF_MACHINE,
    "GET /machines/{id}/charts.json": PAGE_OF_MACHINE,
    "GET /machines/{id}/do/{action}": PAGE_OF_MACHINE,
    "POST /machines/{id}/do/{action}": WORK_ON_PAGE,
    "GET /machines/{id}/status": PAGE_OF_MACHINE,
    "POST /machines/{id}/status": WORK_ON_PAGE,
    "GET /admin/users": PAGE_OF_ADMIN,
    "POST /admin/users": PAGE_OF_ADMIN,
    "GET /admin/users/{user_id}/link": PAGE_OF_ADMIN,
    "POST /admin/users/{user_id}/link": PAGE_OF_ADMIN,
    "GET /admin/users/{user_id}/{what:str}": PAGE_OF_ADMIN,
    "POST /admin/users/{user_id}/{what:str}": PAGE_OF_ADMIN,
    "GET /admin/tokens": PAGE,
    "POST /admin/tokens": PAGE,
    "GET /admin/tokens/{token_id}/revoke": PAGE,
    "POST /admin/tokens/{token_id}/revoke": NO_PAGE,
    "GET /{rest:path}": NO_PAGE,
    "POST /{rest:path}": NO_PAGE,
}

JSON: dict[str, Any] = {
    "POST /api/v2/rvms": {"name": "new"},
    "PATCH /api/v2/rvms/{id}/status": {"status": "full"},
    "POST /api/v2/rvms/{id}/metrics": {"timestamp": "2026-01-01T00:00:00Z"},
    "POST /api/v2/rvms/{id}/commands": {"name": "ping"},
    "PATCH /api/v2/rvms/{id}/config": {"cpu_threshold": 80},
    "PATCH /api/v2/rvms/{id}/config/{key}": {"value": 80},
    "PATCH /api/v2/config": {"cpu_threshold": 85},
    "POST /api/v2/timezone/sync": {"device_id": "{id}", "timezone": "Asia/Jakarta"},
    "POST /api/v2/timezone/sync/manual": {"device_id": "{id}"},
    "POST /api/v2/commands": {"name": "ping", "rvms": [1]},
    "POST /api/v2/users": {"email": "new@b.c", "name": "N", "role": "viewer"},
    "POST /api/v2/tokens": {"name": "t"},
}
FORMS: dict[str, dict[str, str]] = {
    "POST /machines/add": {"name": "by form"},
    "POST /machines/{id}/status": {"status": "full"},
    "POST /admin/users": {"email": "form@b.c", "name": "F", "role": "viewer"},
    "POST /admin/tokens": {"name": "f"},
}


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        yield made


def routes(hub: ApiHub) -> list[str]:
    """`METHOD path` of everything the application answers."""
    found: list[str] = []
    for route in hub.app.routes:
        if isinstance(route, WebSocketRoute):
            found.append(f"WS {route.path}")
            continue
        assert isinstance(route, Route), f"a kind of route this test does not know: {route}"
        found += [f"{method} {route.path}" for method in _methods(route)]
    return found


def _methods(route: Route) -> Iterable[str]:
    if isinstance(route.endpoint, Endpoint):
        return list(route.endpoint.operations)
    if isinstance(route.endpoint, Nowhere):
        return ["ANY"]
    if isinstance(route.endpoint, Page):
        return [method for method in route.endpoint.handlers if method != "HEAD"]
    return sorted((route.methods or set()) - {"HEAD"})


@dataclass
class Cast:
    """Fresh callers for one row, so that what one row destroys is no other row's loss."""

    secrets: dict[str, str | None]
    rvm_id: int
    other_id: int
    user_id: int
    command_id: str


async def cast(hub: ApiHub, number: int) -> Cast:
    def named(role: str) -> str:
        return f"{role}{number}"

    own, other = await hub.add_machine(named("own")), await hub.add_machine(named("other"))
    for role in ("viewer", "operator", "admin"):
        await hub.add_user(named(role), role)
    await hub.add_user(named("own_technician"), "technician", (own,))
    await hub.add_user(named("other_technician"), "technician", (other,))
    victim = await hub.add_user(named("victim"), "viewer")
    drafted = command_desk.draft(
        hub.context.fleet.machines[own], "set_status", {"status": "full"}, "system", hub.context.clock()
    )
    await hub.context.announce(*drafted)
    command = next(change.command for change in drafted if isinstance(change, CommandDrafted))
    secrets: dict[str, str | None] = {"none": None, "own_device": hub.keys[named("own")]}
    secrets["other_device"] = hub.keys[named("other")]
    for role in ("viewer", "operator", "admin", "own_technician", "other_technician"):
        secrets[role] = hub.tokens[named(role)]
    secrets["expired"], secrets["revoked"] = await dead_tokens(hub, hub.users[named("admin")])
    return Cast(secrets, own, other, victim, command.id)


async def dead_tokens(hub: ApiHub, user_id: int) -> tuple[str, str]:
    now, expired, revoked = hub.context.clock(), credentials.new_user_token(), credentials.new_user_token()
    await hub.context.announce(*accounts.create_token(user_id, "e", expired, now, now, "system"))
    made = await hub.context.announce(*accounts.create_token(user_id, "r", revoked, None, now, "system"))
    token_id = next(change.id for change in made if isinstance(change, TokenCreated))
    assert token_id is not None
    await hub.context.announce(TokenRevoked(token_id=token_id, at=now))
    return expired.text, revoked.text


def filled(path: str, of: Cast) -> str:
    for name, value in (
        ("{id}", of.rvm_id), ("{user_id}", of.user_id), ("{command_id}", of.command_id), ("{token_id}", 999999),
        ("{what:str}", "disable"), ("{action}", "reboot"), ("{name}", "nothing.js"), ("{rest:path}", "nowhere/at/all"),
        ("{device_id}", of.rvm_id), ("{key}", "cpu_threshold"),
    ):  # fmt: skip
        path = path.replace(name, str(value))
    return path


async def ask(hub: ApiHub, route: str, of: Cast, caller: str, path: str | None = None) -> httpx.Response | int:
    method, _, template = route.partition(" ")
    path, secret = path or filled(template, of), of.secrets[caller]
    if method == "WS":
        return await dial(hub.app, path, {"Authorization": f"Bearer {secret}"} if secret else {})
    more: dict[str, Any] = {}
    if route.endswith("/login"):
        # An account of its own for each, or the fifth would find it locked.
        wrong = {"email": f"{caller}@b.c", "password": "wrong"}
        more = {"json": wrong} if template.startswith("/api") else {"data": wrong}
    elif method in ("POST", "PATCH"):
        named = {k: filled(v, of) if isinstance(v, str) else v for k, v in JSON.get(route, {}).items()}
        more = {"json": named} if template.startswith("/api") else {"data": FORMS.get(route, {"x": "y"})}
    async with hub.client(secret, Origin=ORIGIN) as client:
        return await client.request("GET" if method == "ANY" else method, path, **more)


def outcome(answer: httpx.Response | int) -> str:
    status = answer if isinstance(answer, int) else answer.status_code
    assert status < 500, answer if isinstance(answer, int) else answer.text
    if status == 401 or (
        not isinstance(answer, int) and status == 303 and answer.headers["location"].startswith("/login?next")
    ):
        return "who"
    if not isinstance(answer, int) and status == 303 and answer.headers["location"] == "/login":
        return "who"
    return {403: "role", 404: "hidden"}.get(status, "ok")


async def test_every_route_is_in_the_table(hub: ApiHub) -> None:
    assert sorted(routes(hub)) == sorted(ROWS)


async def test_everybody_gets_what_the_table_says(hub: ApiHub) -> None:
    wrong = []
    for number, (route, expected) in enumerate(ROWS.items()):
        of = await cast(hub, number)
        for caller in CALLERS:
            got = outcome(await ask(hub, route, of, caller))
            if got != expected[caller]:
                wrong.append(f"{route}: {caller} got {got}, not {expected[caller]}")
    assert not wrong, "\n".join(wrong)


def named(template: str, machine: str) -> str:
    return template.replace("{id}", machine).replace("{device_id}", machine)


async def test_what_is_forbidden_is_answered_like_what_does_not_exist(hub: ApiHub) -> None:
    for number, (route, expected) in enumerate(ROWS.items()):
        if not any(name in route for name in ("{id}", "{command_id}", "{device_id}")):
            continue
        of = await cast(hub, number)
        for caller in [c for c in CALLERS if expected[c] == "hidden"]:
            forbidden = await ask(hub, route, of, caller)
            template = route.partition(" ")[2]
            unknown = await ask(
                hub, route, of, caller, filled(named(template, "999999").replace("{command_id}", "no"), of)
            )
            by_name = await ask(hub, route, of, caller, filled(named(template, f"dev-own{number}"), of))
            for other in (unknown, by_name):
                assert isinstance(forbidden, httpx.Response)
                assert isinstance(other, httpx.Response)
                assert other.status_code == 404
                if route.partition(" ")[2].startswith("/api"):
                    assert forbidden.content == other.content, (route, caller)
                    assert forbidden.headers == other.headers, (route, caller)


async def test_no_get_changes_anything(hub: ApiHub) -> None:
    recorded: list[Change] = []

    def record(changes: Any) -> None:
        # That a credential was used is noted once a minute; it is no state of anybody's.
        recorded.extend(c for c in changes if not isinstance(c, TokenUsed | SessionExtended))

    gets = [route for route in ROWS if route.startswith("GET ")]
    casts = {route: await cast(hub, number) for number, route in enumerate(gets)}
    hub.context.announce.listen(record)
    for route in gets:
        for caller in CALLERS:
            await ask(hub, route, casts[route], caller)
    assert not recorded
