"""Bar 52: every route of the application x everybody who may come. A route that is not in the table fails.

The table: `tests/hub/web/access_rows.py`, a row for every route.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from starlette.routing import Route, WebSocketRoute

from db.backup_records import BackupRow, RestoreRow
from db.records import CommandRow, CounterRow, RecordingRow, SessionRow, TokenRow
from db.trouble_records import TroubleRow
from hub.backups.rules import drill, life
from hub.backups.rules.life import Archive
from hub.backups.service import Backups
from hub.commands import rules as command_rules
from hub.model import credentials
from hub.model.access import OF_ONES_ACCOUNT, OF_THE_FLEET, SIGNED_IN_ONLY
from hub.model.changes import Change, Patch, Put, RowsExpired, put_rows
from hub.people import rules
from hub.remote.recordings.service import Recordings
from hub.routes import OPERATIONS
from hub.web.api.endpoint import Endpoint, Nowhere
from hub.web.shell.page import WebPage
from tests.hub.web.access_rows import CALLERS, FORMS, JSON, ROWS
from tests.support.api_hub import ORIGIN, ApiHub, api_hub
from tests.support.recording_room import begun
from tests.support.websocket_dial import dial

PARTS = 4
"""The table on so many hubs: a page takes the longer the more machines the rows before have added."""
TOGETHER: Final = 8
"""Rows that destroy nothing share their callers; more would reach what a machine's key may ask in a minute."""


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
    if isinstance(route.endpoint, WebPage):
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
    recording_id: int
    backup_id: int
    restore_id: int


async def cast(hub: ApiHub, number: int) -> Cast:
    def named(role: str) -> str:
        return f"{role}{number}"

    own, other = await hub.add_machine(named("own")), await hub.add_machine(named("other"))
    for role in ("viewer", "operator", "admin"):
        await hub.add_user(named(role), role)
    await hub.add_user(named("own_technician"), "technician", (own,))
    await hub.add_user(named("other_technician"), "technician", (other,))
    victim = await hub.add_user(named("victim"), "viewer")
    drafted = command_rules.draft(
        hub.context.fleet.machines[own], "set_status", {"status": "full"}, "system", hub.context.clock()
    )
    await hub.context.announce(*drafted)
    command = next(put_rows(drafted, CommandRow))
    secrets: dict[str, str | None] = {"none": None, "own_device": hub.keys[named("own")]}
    secrets["other_device"] = hub.keys[named("other")]
    for role in ("viewer", "operator", "admin", "own_technician", "other_technician"):
        secrets[role] = hub.logins[named(role)]
    secrets["expired"], secrets["revoked"] = await dead_tokens(hub, hub.users[named("admin")])
    recording_id = await recording_of(hub, own)
    backup_id = await backup_of(hub, own)
    restore_id = await preview_of(hub, own, backup_id)
    return Cast(secrets, own, other, victim, command.id, recording_id, backup_id, restore_id)


async def backup_of(hub: ApiHub, rvm_id: int) -> int:
    """A backup that is whole, as far as its row says."""
    backup_id, now = await hub.context[Backups].draw(), hub.context.clock()
    machine, archive = hub.context.fleet.machines[rvm_id], Archive(9, "a" * 64)
    key = f"backups/{rvm_id}/{backup_id}-0.tar.gz"
    received = life.received(machine, backup_id, "full", archive, key, "system", now)
    (row,) = put_rows(received, BackupRow)
    # The hub's own drill would say that there is no such file.
    await hub.context.announce(*received, *drill.put_off(row, now))
    return backup_id


async def preview_of(hub: ApiHub, rvm_id: int, backup_id: int) -> int:
    """What a restore of it would do."""
    now = hub.context.clock()
    row = RestoreRow(
        rvm_id=rvm_id, backup_id=backup_id, state="succeeded", dry_run=True, requested_by="system", created_at=now,
        finished_at=now,
    )  # fmt: skip
    return next(put_rows(await hub.context.announce(Put(row)), RestoreRow)).id


async def recording_of(hub: ApiHub, rvm_id: int) -> int:
    """A terminal that was open for a moment."""
    recordings = hub.context[Recordings]
    recording = await begun(recordings, rvm_id, "own", next(iter(hub.users.values())), "A")
    await recordings.finish(recording, "exited")
    return recording.id


async def dead_tokens(hub: ApiHub, user_id: int) -> tuple[str, str]:
    now, expired, revoked = hub.context.clock(), credentials.new_secret("token"), credentials.new_secret("token")
    await hub.context.announce(*rules.create_token(user_id, "e", expired, now, now, "system"))
    made = await hub.context.announce(*rules.create_token(user_id, "r", revoked, None, now, "system"))
    (token,) = put_rows(made, TokenRow)
    await hub.context.announce(*rules.revoke_token(token, now, "system"))
    return expired.text, revoked.text


def filled(path: str, of: Cast) -> str:
    for name, value in (
        ("{id}", of.rvm_id), ("{user_id}", of.user_id), ("{command_id}", of.command_id), ("{token_id}", 999999),
        ("{session_id}", 999999), ("{code_id}", 999999), ("{enrolment_id}", 999999), ("{view_id}", 999999),
        ("{trouble_id}", 999999),
        ("{what:str}", "disable"), ("{action}", "reboot"), ("{name:path}", "nothing.js"),
        ("{rest:path}", "nowhere/at/all"),
        ("{device_id}", of.rvm_id), ("{key}", "cpu_threshold"),
        ("{recording_id}", of.recording_id), ("{backup_id}", of.backup_id), ("{number}", 1), ("{token}", "nothing"),
        ("{restore_id}", of.restore_id),
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
    elif method in ("POST", "PATCH") or route in JSON:
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


@pytest.mark.parametrize("part", range(PARTS))
async def test_everybody_gets_what_the_table_says(hub: ApiHub, part: int) -> None:
    wrong = []
    reads = [route for route in [*ROWS][part::PARTS] if route.startswith("GET ")]
    shared = [await cast(hub, 1000 + number) for number in range(-(-len(reads) // TOGETHER))]
    for number, (route, expected) in enumerate([*ROWS.items()][part::PARTS]):
        of = shared[reads.index(route) // TOGETHER] if route in reads else await cast(hub, number)
        for caller in CALLERS:
            got = outcome(await ask(hub, route, of, caller))
            if got != expected[caller]:
                wrong.append(f"{route}: {caller} got {got}, not {expected[caller]}")
    assert not wrong, "\n".join(wrong)


def named(template: str, machine: str) -> str:
    return template.replace("{id}", machine).replace("{device_id}", machine)


async def test_what_is_forbidden_is_answered_like_what_does_not_exist(hub: ApiHub) -> None:
    """Nothing of it happens, so that rows may share their callers."""
    named_by = ("{id}", "{command_id}", "{device_id}", "{recording_id}")
    rows = [(route, expected) for route, expected in ROWS.items() if any(name in route for name in named_by)]
    for number, (route, expected) in enumerate(rows):
        if number % TOGETHER == 0:
            of = await cast(hub, number)
            own = f"dev-own{number}"
        for caller in [c for c in CALLERS if expected[c] == "hidden"]:
            forbidden = await ask(hub, route, of, caller)
            template = route.partition(" ")[2]
            unknown = await ask(
                hub,
                route,
                of,
                caller,
                filled(named(template, "999999").replace("{command_id}", "no").replace("{recording_id}", "0"), of),
            )
            by_name = await ask(hub, route, of, caller, filled(named(template, own), of))
            for other in (unknown, by_name):
                assert isinstance(forbidden, httpx.Response)
                assert isinstance(other, httpx.Response)
                assert other.status_code == 404
                if route.partition(" ")[2].startswith("/api"):
                    assert forbidden.content == other.content, (route, caller)
                    assert forbidden.headers == other.headers, (route, caller)


NARROW = {
    "narrow_viewer": rules.TokenScope(role="viewer"),
    "narrow_own": rules.TokenScope(machines=(0,)),
    "narrow_other": rules.TokenScope(machines=(1,)),
}
"""Tokens of an administrator. Machines by their place among `own` and `other`."""
OF_A_MACHINE = ("{id}", "{device_id}", "{command_id}", "{recording_id}")


async def narrow_tokens(hub: ApiHub, number: int, of: Cast) -> None:
    ids, now, admin = (of.rvm_id, of.other_id), hub.context.clock(), hub.users[f"admin{number}"]
    for name, scope in NARROW.items():
        secret = credentials.new_secret("token")
        narrower = scope._replace(machines=None if scope.machines is None else tuple(ids[at] for at in scope.machines))
        await hub.context.announce(*rules.create_token(admin, name, secret, None, now, "system", narrower))
        of.secrets[name] = secret.text


def of_a_narrow_token(route: str, action: str | None, caller: str) -> str:
    """What the table says of the role, without what no such token may; of no machine but its own."""
    row = ROWS[route]
    if not route.partition(" ")[2].startswith(("/api", "/ws/dashboard")):
        # Pages are for people who are signed in; the machines' socket is for who has a machine's key, or none yet.
        return "who" if route == "WS /ws/device" else row["none"]
    if caller == "narrow_other" and "/rvms/{id}" in route:
        return "hidden"
    if action in SIGNED_IN_ONLY or action in OF_ONES_ACCOUNT or row["admin"] == "role":
        return "role"
    if caller == "narrow_other" and (
        row["other_technician"] == "hidden" or any(name in route for name in OF_A_MACHINE)
    ):
        return "hidden"
    if caller != "narrow_viewer" and action in OF_THE_FLEET and "/rvms/{id}" not in route:
        return "role"
    return row["viewer" if caller == "narrow_viewer" else "admin"]


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_narrow_token_gets_no_more_than_its_role_and_its_machines(hub: ApiHub, part: int) -> None:
    """An administrator's: every route must hold, also those of which only administrators had to be kept from none."""
    actions = {f"{op.method} /api{op.path}": op.action for op in OPERATIONS}
    wrong = []
    for number, route in enumerate([*ROWS][part::PARTS]):
        if number % TOGETHER == 0 or not route.startswith("GET "):
            of = await cast(hub, number)
            await narrow_tokens(hub, number, of)
        for caller in NARROW:
            expected, got = (
                of_a_narrow_token(route, actions.get(route), caller),
                outcome(await ask(hub, route, of, caller)),
            )
            if got != expected:
                wrong.append(f"{route}: {caller} got {got}, not {expected}")
    assert not wrong, "\n".join(wrong)


def is_mark_of_retention(change: Change) -> bool:
    return isinstance(change, Put) and isinstance(change.row, CounterRow) and change.row.name == "retention"


def is_stored(change: Patch) -> bool:
    return change.of is RecordingRow and change.values.get("state") == "stored"


async def test_no_get_changes_anything(hub: ApiHub) -> None:
    recorded: list[Change] = []

    def record(changes: Any) -> None:
        # That a credential was used is noted once a minute; it is no state of anybody's. A recording is carried to the
        # object store, what is old deleted, a sign of life of the hub and what is wrong with machines stored, in their
        # own time.
        if not any(isinstance(change, RowsExpired) or is_mark_of_retention(change) for change in changes):
            recorded.extend(
                change
                for change in changes
                if not (isinstance(change, Patch) and (change.of in (TokenRow, SessionRow) or is_stored(change)))
                and not (isinstance(change, Put) and isinstance(change.row, (CounterRow, TroubleRow)))
                and not (isinstance(change, Patch) and change.values.keys() == {"ended_at"})
            )

    gets = [route for route in ROWS if route.startswith("GET ")]
    casts = [await cast(hub, number) for number in range(-(-len(gets) // TOGETHER))]
    hub.context.announce.listen(record)
    for number, route in enumerate(gets):
        for caller in CALLERS:
            await ask(hub, route, casts[number // TOGETHER], caller)
    assert not recorded
