"""A hub's engine around one machine, without a socket and on a store that does as told; and the wire it speaks on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup

from hub.kernel.announce import Announcer
from hub.kernel.commits import Commits
from hub.kernel.observer import Observer
from hub.kernel.samples_lane import SamplesLane
from hub.lifespan import Nobody
from hub.links.link import MachineLink
from hub.links.links import Links
from hub.links.session import LinkSession
from hub.model.budgets import MachineBudget
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.routes import HANDLERS
from protocol import codec
from protocol import messages as m
from protocol.session import Session
from protocol.transitions import Role
from tests.support.fake_store import FakeStore
from tests.support.machines import NOW, machine
from tests.support.machines import hello as introduction


class Wire:
    """What the hub sent; `open` is cleared to play a peer that stops reading."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.open.wait()
        self.sent.append(message)

    @property
    def said(self) -> list[Any]:
        return [codec.decode_from_hub(one["text"]).message for one in self.sent if "text" in one]

    @property
    def close(self) -> int | None:
        return next((one["code"] for one in self.sent if one["type"] == "websocket.close"), None)

    def of(self, kind: type) -> list[Any]:
        return [said for said in self.said if isinstance(said, kind)]


class Room:
    """A hub's engine around one machine, on a store that does as told."""

    def __init__(self, tasks: TaskGroup, **machine_members: Any) -> None:
        self.store = FakeStore()
        self.tasks = tasks
        self.fleet = Fleet([machine(**machine_members)])
        self.lane = SamplesLane(self.store)
        self.announce = Announcer(self.fleet, Commits(self.store), self.lane, Nobody())
        self.observer = Observer(self.fleet, self.announce, lambda: NOW)
        self.links = Links(self.fleet, self.announce, self.observer, lambda: NOW)
        self.announce.listen(self.links.on_commit)
        tasks.start_soon(self.lane.run)

    @property
    def machine(self) -> Machine:
        return self.fleet.machines[7]

    def connect(
        self, rate: float = 0.0, burst: int = 100, clock: Any = lambda: NOW, hello: m.Hello | None = None
    ) -> tuple[LinkSession, MachineLink, Wire]:
        self.links.budget = MachineBudget(frames_per_second=rate, frames_at_once=burst)
        wire = Wire()
        link = MachineLink(wire.send, Session(Role.HUB, authenticated=True), "10.0.0.9")
        link.machine = self.machine
        said = hello or introduction()
        link.session.receive(codec.encode(said))
        self.links.opened(link)
        self.links.register(link)
        self.tasks.start_soon(link.write)
        welcome = m.Welcome(
            session_id="s", time="t", protocol=2, config=m.Configuration(version=0, values={}), live_interval=0.0
        )
        link.send(welcome)
        self.observer.linked(self.machine, 0.0)
        session = LinkSession(
            link, self.machine, said, links=self.links, announce=self.announce, store=self.store, handlers=HANDLERS,
            tasks=self.tasks, clock=clock,
        )  # fmt: skip
        return session, link, wire


@asynccontextmanager
async def room(**machine_members: Any) -> AsyncIterator[Room]:
    async with anyio.create_task_group() as tasks:
        yield Room(tasks, **machine_members)
        tasks.cancel_scope.cancel()


def text(message: m.MachineMessage) -> str:
    return codec.encode(message)
