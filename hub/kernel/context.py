"""The parts of one running hub, as requests and sockets get them (`app.state.hub`).

A subject's part is found by its class, so that the kernel knows no subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import anyio

from db.engine.store import Store
from hub.kernel.announce import Announcer
from hub.kernel.feed import Feed
from hub.model.fleet import Fleet
from hub.model.presence import Watching
from hub.settings import Settings

Part = TypeVar("Part")


@dataclass(slots=True)
class HubContext:
    """`clock` gives aware UTC; `epoch` names this hub life."""

    settings: Settings
    store: Store
    fleet: Fleet
    announce: Announcer
    feed: Feed
    watching: Watching
    clock: Callable[[], datetime]
    epoch: str
    version: str
    counting: anyio.Lock = field(default_factory=anyio.Lock)
    """Held from a count of stored rows to the commit of one more, so that two at once do not pass a limit."""
    _parts: dict[type, Any] = field(default_factory=dict)  # Bound: the parts that hub.lifespan makes, one a class

    def add(self, *parts: object) -> None:
        self._parts.update((type(part), part) for part in parts)

    def __getitem__(self, kind: type[Part]) -> Part:
        part: Part = self._parts[kind]
        return part

    def __setitem__(self, kind: type[Part], part: Part) -> None:
        self._parts[kind] = part
