"""A feed over a fleet without a database, and a page that keeps the picture it was told."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from db.records import MachineRow
from hub.kernel.feed import Feed
from hub.kernel.subscription import Subscription
from hub.model import changes as c
from hub.model.access import Principal, Role
from hub.model.changes import Put
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from protocol.messages import Sample
from tests.support.machines import declared
from tests.support.until import PATIENCE_S

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=timezone.utc)
NOW_MS = int(NOW.timestamp() * 1000)


def machine(rvm_id: int) -> Machine:
    return Machine(
        MachineRow(
            id=rvm_id, device_id=f"rvm-{rvm_id}", name=f"Machine {rvm_id}", api_key="h" * 64, status_by="system",
            api_key_prefix=f"rvmk_{rvm_id}", status_since=NOW, created_at=NOW, updated_at=NOW,
        )
    )  # fmt: skip


def somebody(role: Role = "admin", machines: frozenset[int] | None = None, user_id: int = 1) -> Principal:
    return Principal("user", user_id, "Budi", role, machines, "session", user_id)


class Hub:
    """A fleet and its feed, changed as the announcer does it."""

    def __init__(self, machines: int = 3) -> None:
        self.fleet = Fleet(machine(n) for n in range(1, machines + 1))
        self.feed = Feed(self.fleet, epoch="life", version="1", clock=lambda: NOW)

    def commit(self, *changes: c.Change) -> None:
        touched = [t for change in changes if (t := self.fleet.apply(change)) is not None]
        self.feed.publish(changes, touched)

    def add(self, rvm_id: int) -> None:
        self.commit(
            Put(
                MachineRow(
                    device_id=f"rvm-{rvm_id}",
                    name=f"Machine {rvm_id}",
                    location_description=None,
                    api_key_prefix=f"p{rvm_id}",
                    simulated=False,
                    id=rvm_id,
                    api_key="h",
                    status_since=NOW,
                    status_by="user:1",
                    created_at=NOW,
                    updated_at=NOW,
                )
            )
        )

    def sample(self, rvm_id: int, cpu: float) -> None:
        seen = c.SampleSeen(rvm_id=rvm_id, sample=Sample(timestamp=0.0, cpu_usage=cpu), taken_at=NOW, received_at=NOW)
        touched = self.fleet.apply(seen)
        assert touched is not None
        self.feed.publish((), (touched,))

    def status(self, rvm_id: int, status: Any) -> None:
        self.commit(
            *declared(rvm_id=rvm_id, status=status, special_status=None, capacity=0, since=NOW, by="user:1")
        )  # fmt: skip

    def much_of_others(self) -> None:
        """A thousand readings, a status, a removal and an event of the first and the third; nothing of the second."""
        for n in range(1000):
            self.sample(1 + 2 * (n % 2), float(n % 100))
        self.status(1, "full")
        self.commit(c.Drop(MachineRow, 3))
        self.commit(c.EventHappened(at=NOW, code="status.changed", actor="user:1", rvm_id=1))


class Page:
    """A browser: keeps the picture it was told, and counts."""

    def __init__(self, hub: Hub, principal: Principal | None = None, *, of: int | None = None) -> None:
        self.hub = hub
        self.subscription: Subscription = hub.feed.subscribe(principal or somebody(), of=of)
        self.machines: dict[int, dict[str, Any]] = {}
        self.seq = 0

    @property
    def has_more(self) -> bool:
        """Whether `next` has something at once."""
        return self.subscription.wants_snapshot or self.subscription.waiting_bytes > 0

    async def next(self) -> dict[str, Any]:
        said = await asyncio.wait_for(self.subscription.next(), PATIENCE_S)
        frame = strict((said if said is not None else await self.hub.feed.snapshot(self.subscription)).text)
        if frame["type"] == "snapshot":
            self.machines = {m["id"]: m for m in frame["machines"]}
            self.seq = frame["seq"]
        elif frame["type"] == "delta":
            self.seq += 1
            assert frame["seq"] == self.seq
            for difference in frame["m"]:
                self.machines.setdefault(difference["id"], {}).update(difference)
            for rvm_id in frame.get("removed", ()):
                self.machines.pop(rvm_id, None)  # one that went before its picture was taken
        return frame

    async def nothing(self, within: float = 0.4) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(self.subscription.next(), within)


def strict(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found
