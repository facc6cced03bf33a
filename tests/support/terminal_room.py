"""A hub here, a machine, its administrator's active lease, and terminals whose other end the test holds.

async with terminal_room(tmp_path) as room, room.terminal() as (page, stream):
    stream.say(b"hello")
    await page.shows("hello")
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import websockets

from db.records import SESSION_PARTS, RemoteSessionRow
from hub.lifespan import utc_now
from hub.model import changes as c
from hub.model.changes import Put, put_rows
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.remote.terminal.terminal import Terminals
from protocol import configuration
from tests.support.browser_client import cookie, origin
from tests.support.fake_tunnels import FakeStream, FakeTunnels
from tests.support.hub_people import MachineKey, Person
from tests.support.hub_process import HubHere, hub_here
from tests.support.remote_operator import TerminalClient


@dataclass
class TerminalRoom:
    """A hub, a machine, the administrator's active lease on it, and streams the test holds the other end of."""

    hub: HubHere
    machine: MachineKey
    tunnels: FakeTunnels
    session: RemoteSessionRow

    @contextlib.asynccontextmanager
    async def socket(self, person: Person | None = None) -> AsyncIterator[TerminalClient]:
        async with websockets.connect(
            self.hub.websocket_url + "/ws/terminal", additional_headers=cookie(self.hub, person or self.hub.admin),
            origin=origin(self.hub), compression=None, proxy=None, max_size=None,
        ) as socket:  # fmt: skip
            yield TerminalClient(socket)

    @contextlib.asynccontextmanager
    async def terminal(self) -> AsyncIterator[tuple[TerminalClient, FakeStream]]:
        async with self.socket() as page:
            await say(page, type="open", session=self.session.id, cols=80, rows=24)
            await page.until(lambda: page.heard)
            assert page.heard[0]["type"] == "ready", page.heard
            yield page, self.tunnels.streams[-1]

    @contextlib.asynccontextmanager
    async def attached(self, terminal: str, received: int = 0) -> AsyncIterator[TerminalClient]:
        async with self.socket() as page:
            await say(page, type="attach", terminal=terminal, received=received)
            await page.until(lambda: page.heard)
            assert page.heard[0]["type"] == "ready", page.heard
            yield page

    async def code_of(self, first: Any, person: Person | None = None) -> tuple[str | None, int]:
        """The error a first frame gets, and the close code."""
        async with self.socket(person) as page:
            await page.socket.send(first if isinstance(first, (str, bytes)) else json.dumps(first))
            code = await page.closed()
            return next((text["code"] for text in page.heard), None), code

    def opening(self, **members: Any) -> dict[str, Any]:
        return {"type": "open", "session": self.session.id, "cols": 80, "rows": 24, **members}

    def let_in(self, *networks: str) -> None:
        """The machine's admin_ips, as if they had been set."""
        machine = self.hub.context.fleet.machines[self.machine.id]
        machine.effective_settings = effective_of(
            configuration.defaults(), DesiredSettings({"admin_ips": list(networks)}, 1)
        )


@contextlib.asynccontextmanager
async def terminal_room(folder: Path, **settings: Any) -> AsyncIterator[TerminalRoom]:
    async with hub_here(folder, **settings) as hub:
        machine = await hub.add_machine("Lobby")
        tunnels = FakeTunnels()
        hub.context[Terminals]._tunnels = tunnels
        room = TerminalRoom(hub, machine, tunnels, await lease(hub, machine))
        room.let_in("127.0.0.1/32")
        yield room


async def say(page: TerminalClient, **members: Any) -> None:
    await page.socket.send(json.dumps(members))


async def lease(hub: HubHere, machine: MachineKey, **members: Any) -> RemoteSessionRow:
    now = utc_now()
    session = RemoteSessionRow(
        id=0, rvm_id=machine.id, admin_id=hub.admin.id, admin_name="boss", status="active", start_time=now,
        expires_at=now + timedelta(minutes=30), duration_s=1800.0, created_at=now, reason="camera",
        ip_address="127.0.0.1", **{"ports": (), "allow": SESSION_PARTS, **members},
    )  # fmt: skip
    line = c.EventHappened(
        at=now, code="remote.started", actor=f"user:{hub.admin.id}", rvm_id=machine.id, params={"session_id": 0}
    )
    return next(put_rows(await hub.context.announce(Put(session), line), RemoteSessionRow))
