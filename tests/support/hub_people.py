"""Users, tokens and sessions put straight into a hub's database, as the command line does it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from db.records import MachineRow, UserMachineRow, UserRow
from hub.cli.data import open_data
from hub.lifespan import utc_now
from hub.machines import rules as machine_rules
from hub.model import changes, credentials
from hub.people import rules
from hub.settings import Settings

_numbers = itertools.count(1)


class Person(NamedTuple):
    """`token` for programs (Authorization: Bearer), `session` for a browser's cookie."""

    id: int
    email: str
    token: str
    session: str


class MachineKey(NamedTuple):
    id: int
    device_id: str
    api_key: str


@dataclass(frozen=True)
class People:
    """Adds to the database of these settings, whether a hub runs on it or not."""

    settings: Settings

    async def add(self, role: str = "admin", machines: tuple[int, ...] = ()) -> Person:
        email, now = f"{role}{next(_numbers)}@example.test", utc_now()
        async with open_data(self.settings, create=True) as opened:
            added = rules.add_user(
                email=email, name=email, role=role, password_hash=None, language=None, now=now, by="system"
            )
            stored = await opened.commit(*added)
            user_id = next(changes.put_rows(stored, UserRow)).id
            token = credentials.new_secret("token")
            made = rules.create_token(user_id, "tests", token, None, now, "system")
            session, put_session = rules.open_session(user_id, now, address="127.0.0.1", user_agent=None)
            own = (changes.Put(UserMachineRow(user_id=user_id, rvm_id=rvm_id)) for rvm_id in machines)
            await opened.commit(*made, put_session, *own)
        return Person(user_id, email, token.text, session.text)

    async def add_machines(self, count: int, name: str = "Machine") -> list[MachineKey]:
        """Before a hub starts, or seen by it within about a second."""
        return [await self.add_machine(f"{name} {next(_numbers)}") for _ in range(count)]

    async def add_machine(self, name: str, ago: timedelta = timedelta(0)) -> MachineKey:
        """As it was added so long ago: one that should have connected by now."""
        async with open_data(self.settings, create=True) as opened:
            key, made = machine_rules.new_machine(machine_rules.MachineFacts(name), "system", utc_now() - ago)
            added = next(changes.put_rows(await opened.commit(*made), MachineRow))
        return MachineKey(added.id, added.device_id, key.text)


def wrong_end(secret: str) -> str:
    """Another secret of the same shape."""
    return secret[:-1] + ("y" if secret.endswith("x") else "x")
