"""A person who gives commands by REST and follows what becomes of them, over deaths of the hub."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime
from typing import Any, Final

import httpx

from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub
from tests.support.ledger import TERMINAL

PATIENCE_S: Final = 40.0
AGAIN_S: Final = 0.05
Order = dict[str, Any]
_numbers = itertools.count()


class Operator:
    """`client` is signed in; every request is tried again while the hub is away."""

    def __init__(self, hub: Hub, client: httpx.AsyncClient) -> None:
        self._hub, self._client = hub, client

    async def give(self, key: MachineKey, name: str, args: Order, *, once: str, reason: str = "tried") -> Order | None:
        """The command that this key (`once`) makes or has made; None when the machine is not there for it."""
        body = {"name": name, "args": args, "reason": reason}
        path = f"/api/v2/rvms/{key.id}/commands"
        answer = await self._try("POST", path, json=body, headers={"Idempotency-Key": once})
        if answer.status_code == 409 and "offline" in answer.text:
            return None
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json()["data"])

    async def insist(self, key: MachineKey, name: str, args: Order, *, once: str, reason: str = "tried") -> Order:
        """As `give`, waiting for the machine."""
        ends = asyncio.get_running_loop().time() + PATIENCE_S
        while (order := await self.give(key, name, args, once=once, reason=reason)) is None:
            assert asyncio.get_running_loop().time() < ends, f"machine {key.id} does not come"
            await asyncio.sleep(AGAIN_S)
        return order

    async def end(self, command_id: str, within: float = PATIENCE_S) -> Order:
        """The command in its terminal state."""
        ends = asyncio.get_running_loop().time() + within
        while True:
            found = dict((await self._try("GET", f"/api/v2/commands/{command_id}?wait=1")).json()["data"])
            if found["state"] in TERMINAL:
                return found
            assert asyncio.get_running_loop().time() < ends, found

    async def answers(self, key: MachineKey) -> None:
        """The machine answers a ping: whatever it had to say again, it has said before."""
        for _ in range(20):
            ping = await self.insist(key, "ping", {}, once=f"ping-{next(_numbers)}")
            if (await self.end(ping["id"]))["state"] == "succeeded":
                return
        raise AssertionError(f"machine {key.id} does not answer")

    async def _try(self, method: str, path: str, **more: Any) -> httpx.Response:
        ends = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                answer = await self._client.request(method, f"{self._hub.url}{path}", **more)
            except httpx.HTTPError:
                assert asyncio.get_running_loop().time() < ends, "the hub does not come back"
            else:
                if answer.status_code != 503:
                    return answer
            await asyncio.sleep(AGAIN_S)


def overdue_s(order: Order) -> float:
    """How long after its deadline it ended; negative before it."""
    finished, expires = (
        datetime.fromisoformat(order[name].replace("Z", "+00:00")) for name in ("finished_at", "expires_at")
    )
    return (finished - expires).total_seconds()
