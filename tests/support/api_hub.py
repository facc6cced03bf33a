"""A whole hub inside the test's own process, without a socket: the app, its context, and a client for each caller."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from msgspec.structs import replace
from starlette.applications import Starlette

from db.queries.events import list_events
from db.records import MachineRow, SessionRow, StatusRow, UserRow
from hub.kernel.context import HubContext
from hub.lifespan import hub_life
from hub.model import changes, credentials
from hub.model.machine import Machine
from hub.people import rules
from hub.serving import create_app
from hub.settings import Settings
from hub.web.auth.limits import AddressLimiter
from hub.web.auth.origin import new_csrf_token
from hub.web.auth.passwords import Passwords
from hub.web.auth.state import AuthState
from tests.support.until import until

ORIGIN = "http://hub.test"
PASSWORD = "a phrase of several words"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashes a password in a thousandth of the real time."""


@dataclass
class ApiHub:
    """`tokens` and `logins` (sessions as REST login answers them) by the name of their owner; `machines` and `keys` by
    name."""

    app: Starlette
    context: HubContext
    users: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)
    machines: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def client(self, secret: str | None = None, *, address: str = "10.0.0.1", **headers: str) -> httpx.AsyncClient:
        """Somebody at `address` with that Bearer secret, or none."""
        said = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx.ASGITransport(app=self.app, client=(address, 40000), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={**said, **headers})

    def of(self, name: str) -> httpx.AsyncClient:
        """The user or machine of that name, signed in by REST or by key."""
        return self.client(self.logins.get(name) or self.keys[name])

    def program(self, name: str) -> httpx.AsyncClient:
        """A program with a token of that user."""
        return self.client(self.tokens[name])

    def browser(self, session: str, *, csrf: bool = True, origin: str | None = ORIGIN) -> httpx.AsyncClient:
        """A browser with a session cookie, on one of our pages unless told otherwise."""
        headers = {"Cookie": f"rvm_session={session}"}
        if csrf:
            headers["X-CSRF-Token"] = new_csrf_token(session)
        if origin is not None:
            headers["Origin"] = origin
        return self.client(None, **headers)

    async def add_user(self, name: str, role: str, machines: tuple[int, ...] = (), password: str | None = None) -> int:
        """With a token and a session that stays; with a password when one is given."""
        hashed = await self.context[AuthState].passwords.hash(password) if password else None
        await self._add_users((name, role, machines, hashed))
        return self.users[name]

    async def _add_users(self, *asked: tuple[str, str, tuple[int, ...], str | None]) -> None:
        """Two commits, however many they are."""
        now = self.context.clock()
        made = (
            rules.add_user(
                email=f"{name}@example.com", name=name, role=role, password_hash=hashed, language=None,
                machines=frozenset(machines), now=now, by="system",
            )
            for name, role, machines, hashed in asked
        )  # fmt: skip
        added = changes.put_rows(await self.context.announce(*itertools.chain(*made)), UserRow)
        self.users |= {row.name: row.id for row in added}
        names, given = [name for name, *_ in asked], list[changes.Change]()
        for name in names:
            token, (session, opened) = credentials.new_secret("token"), self._session_of(name, 3650 * 86400.0)
            given += [*rules.create_token(self.users[name], "test", token, None, now, "system"), opened]
            self.tokens[name], self.logins[name] = token.text, session
        await self.context.announce(*given)

    async def add_session(self, name: str, lifetime_s: float = 3600.0) -> str:
        """A browser's session of that user, without the password."""
        secret, opened = self._session_of(name, lifetime_s)
        await self.context.announce(opened)
        return secret

    def _session_of(self, name: str, lifetime_s: float) -> tuple[str, changes.Put[SessionRow]]:
        now = self.context.clock()
        secret, opened = rules.open_session(self.users[name], now, address="10.0.0.1", user_agent="test")
        (session,) = changes.put_rows([opened], SessionRow)
        return secret.text, changes.Put(replace(session, expires_at=now + timedelta(seconds=lifetime_s)))

    async def add_machine(self, name: str, device_id: str | None = None) -> int:
        await self._add_machines({name: device_id or f"dev-{name}"})
        return self.machines[name]

    async def _add_machines(self, device_ids: Mapping[str, str]) -> None:
        """By their names, in one commit."""
        now, made = self.context.clock(), list[changes.Change]()
        for name, device_id in device_ids.items():
            secret = credentials.new_secret("key")
            row = MachineRow(
                device_id=device_id, name=name, api_key=secret.hash, api_key_prefix=secret.prefix,
                status_since=now, status_by="system", created_at=now, updated_at=now,
            )  # fmt: skip
            history = StatusRow(rvm_id=0, status=row.status, capacity=row.capacity, since=now, by="system")
            made.append(changes.Put(row, along=(history,)))
            self.keys[name] = secret.text
        added = changes.put_rows(await self.context.announce(*made), MachineRow)
        self.machines |= {row.name: row.id for row in added}

    def machine(self, name: str = "one") -> Machine:
        return self.context.fleet.machines[self.machines[name]]

    async def event_codes(self, begins_with: str) -> list[str]:
        """Of the record's newest 50, newest first."""
        found = await list_events(self.context.store, limit=50)
        return [event.code for event in found if event.code.startswith(begins_with)]

    async def lose(self, machines: Sequence[int]) -> None:
        """They went offline together three minutes ago, which is recorded when this returns."""
        gone = {"connection": "offline", "connection_since": self.context.clock() - timedelta(minutes=3)}
        for rvm_id in machines:
            self.context.announce.observe(changes.Observed(rvm_id, gone))
        fleet = self.context.fleet.machines
        await until(lambda: all("offline" in fleet[rvm_id].troubles for rvm_id in machines))

    async def add_everybody(self) -> None:
        """Machines `one` and `two`; users admin, operator, viewer, and technician, whose own machine is `one`."""
        await self._add_machines({"one": "dev-one", "two": "dev-two"})
        people = [(role, role, (), None) for role in ("admin", "operator", "viewer")]
        await self._add_users(*people, ("technician", "technician", (self.machines["one"],), None))


@asynccontextmanager
async def api_hub(
    tmp_path: Path, *, patient: bool = True, hasher: PasswordHasher = QUICK, **settings: Any
) -> AsyncIterator[ApiHub]:
    """`patient`: addresses may come without a credential as often as they like. `hasher`: what a password costs.

    The hub lives in a task of its own, because a fixture begins and ends in different tasks.
    """
    app = create_app(made := Settings.load({"data_dir": tmp_path / "data", **settings}, {}))
    up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def live() -> None:
        async with hub_life(app, made):
            up.set_result(None)
            await done.wait()

    life = asyncio.create_task(live())
    try:
        await asyncio.wait({up, life}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
        context: HubContext = app.state.hub
        context[AuthState].passwords = Passwords(hasher)
        if patient:
            context[AuthState].wrong_credentials = AddressLimiter(per_minute=1e9, burst=1e9)
            context[AuthState].wrong_sign_ins = AddressLimiter(per_minute=1e9, burst=1e9)
        yield ApiHub(app, context)
    finally:
        done.set()
        await life
