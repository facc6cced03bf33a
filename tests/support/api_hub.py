"""A whole hub inside the test's own process, without a socket: the app, its context, and a client for each caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
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
        now, secret = self.context.clock(), credentials.new_secret("token")
        hashed = await self.context[AuthState].passwords.hash(password) if password else None
        made = rules.add_user(
            email=f"{name}@example.com", name=name, role=role, password_hash=hashed, language=None,
            machines=frozenset(machines), now=now, by="system",
        )  # fmt: skip
        (added,) = changes.put_rows(await self.context.announce(*made), UserRow)
        await self.context.announce(*rules.create_token(added.id, "test", secret, None, now, "system"))
        self.users[name], self.tokens[name] = added.id, secret.text
        self.logins[name] = await self.add_session(name, 3650 * 86400.0)
        return added.id

    async def add_session(self, name: str, lifetime_s: float = 3600.0) -> str:
        """A browser's session of that user, without the password."""
        now = self.context.clock()
        secret, opened = rules.open_session(self.users[name], now, address="10.0.0.1", user_agent="test")
        (session,) = changes.put_rows([opened], SessionRow)
        ends = now + timedelta(seconds=lifetime_s)
        await self.context.announce(changes.Put(replace(session, expires_at=ends)))
        return secret.text

    async def add_machine(self, name: str, device_id: str | None = None) -> int:
        secret = credentials.new_secret("key")
        now = self.context.clock()
        row = MachineRow(
            device_id=device_id or f"dev-{name}", name=name, api_key=secret.hash, api_key_prefix=secret.prefix,
            status_since=now, status_by="system", created_at=now, updated_at=now,
        )  # fmt: skip
        history = StatusRow(rvm_id=0, status=row.status, capacity=row.capacity, since=now, by="system")
        added = next(changes.put_rows(await self.context.announce(changes.Put(row, along=(history,))), MachineRow))
        self.machines[name], self.keys[name] = added.id, secret.text
        return added.id

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
        one = await self.add_machine("one")
        await self.add_machine("two")
        for role in ("admin", "operator", "viewer"):
            await self.add_user(role, role)
        await self.add_user("technician", "technician", (one,))


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
