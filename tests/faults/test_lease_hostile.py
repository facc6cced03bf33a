"""Machines that lie in a lease: what one says wrong ends its own session, and touches no other.

Bars 51 and 53 of the reliability list: frames for streams that are foreign, over or huge; one machine's words about,
and tunnel into, another's session.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.forked_hub import forked_hub
from tests.support.hub_process import HubProcess
from tests.support.remote_operator import RemoteOperator, TerminalClient
from tests.support.tunnel_client import LeasedMachine, TunnelClient, leased_machine, tunnel_socket

OPEN, ACCEPT, DATA, WINDOW, END, RESET, CONTROL, ACK = range(1, 9)
HUGE = 2**32 - 1


class Party(NamedTuple):
    """A machine in a lease, with a tunnel."""

    machine: LeasedMachine
    order: dict[str, Any]
    tunnel: TunnelClient
    opened: dict[str, Any]


class Yard(NamedTuple):
    """Two machines in a lease each."""

    hub: HubProcess
    operator: RemoteOperator
    a: Party
    b: Party

    async def only_a_ended(self) -> dict[str, Any]:
        """Machine A's session is over by its own fault; B's serves a terminal as before."""
        ended = await self.operator.ended(self.a.machine.client.key, self.a.order["session_id"])
        assert ended["end_reason"] == "protocol_error"
        async with serving(self.operator, self.b) as terminal:
            await terminal.shows("still here")
        status = await self.operator.get(f"/rvms/{self.b.machine.client.key.id}/remote-access/status")
        assert [row["id"] for row in status["sessions"]] == [self.b.order["session_id"]]
        assert "Traceback" not in self.hub.log
        return ended


@contextlib.asynccontextmanager
async def yard(folder: Path) -> AsyncIterator[Yard]:
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(folder))
        operator = RemoteOperator(hub, hub.admin)
        parties = [await stack.enter_async_context(party(hub, operator, name)) for name in ("A", "B")]
        yield Yard(hub, operator, *parties)


@contextlib.asynccontextmanager
async def party(hub: HubProcess, operator: RemoteOperator, name: str) -> AsyncIterator[Party]:
    key = await hub.add_machine(name)
    async with leased_machine(hub, key) as machine:
        session = await operator.start(key)
        order = await machine.accept()
        assert order["session_id"] == session["id"]
        async with machine.tunnel(order) as tunnel:
            yield Party(machine, order, tunnel, await tunnel.opened())


@contextlib.asynccontextmanager
async def serving(operator: RemoteOperator, party: Party) -> AsyncIterator[TerminalClient]:
    """A terminal to the machine of the test's own making; it has said `still here`."""
    async with operator.terminal_socket() as terminal:
        request = {"type": "open", "session": party.order["session_id"], "cols": 80, "rows": 24}
        await terminal.socket.send(json.dumps(request))
        stream, _ = await party.tunnel.frame(OPEN)
        await party.tunnel.send(ACCEPT, stream, json.dumps({"user": "nobody", "command": "sh"}).encode())
        await party.tunnel.send(DATA, stream, b"still here")
        await terminal.until(lambda: any(text["type"] == "ready" for text in terminal.heard))
        yield terminal


LIES: list[tuple[str, int, int, bytes]] = [
    ("a stream nobody opened", DATA, 7, b"x"),
    ("the highest stream there is", DATA, HUGE, b"x"),
    ("an end of a stream nobody opened", END, 3, b""),
    ("stream 0", DATA, 0, b"x"),
    ("an OPEN, which only the hub may say", OPEN, 9, b'{"kind":"terminal","args":{}}'),
    ("an unknown type", 99, 1, b""),
    ("a CONTROL that is no JSON", CONTROL, 1, b"{"),
    ("more data than the window allows", DATA, 1, b""),
    ("a second end", END, 1, b""),
    ("data after the end", DATA, 1, b"late"),
    ("an acknowledgement of what was never sent", ACK, 0, (2**63).to_bytes(8, "big")),
    ("a frame above the limit", DATA, 1, b"x" * (32 * 1024 + 1)),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("kind", "stream", "payload"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES])
async def test_a_frame_that_lies_ends_only_its_own_session(
    tmp_path: Path, kind: int, stream: int, payload: bytes
) -> None:
    async with yard(tmp_path) as scene, serving(scene.operator, scene.a):
        tunnel = scene.a.tunnel
        if (kind, payload) == (DATA, b""):
            with contextlib.suppress(Exception):
                for _ in range(40):
                    await tunnel.send(DATA, stream, b"x" * 32 * 1024)
        elif (kind, stream) == (END, 1) or payload == b"late":
            await tunnel.send(END, stream)
            await tunnel.send(kind, stream, payload)
        else:
            await tunnel.send(kind, stream, payload)
        assert await tunnel.closed(20) in (4400, 1009)
        await scene.only_a_ended()


@pytest.mark.timeout(120)
async def test_no_machine_reaches_the_session_of_another(tmp_path: Path) -> None:
    async with yard(tmp_path) as scene:
        a, b = scene.a, scene.b
        tries: list[dict[str, Any]] = [
            {"ticket": a.order["ticket"]},
            {"ticket": b.order["ticket"]},
            {"resume": a.opened["resume"], "received": 0},
            {"resume": b.opened["resume"], "received": 0},
            {"ticket": ""},
        ]
        for members in tries:
            async with tunnel_socket(scene.hub, b.machine.client.key) as tunnel:
                first = {"type": "open", "session_id": a.order["session_id"], **members}
                await tunnel.socket.send(json.dumps(first))
                assert await tunnel.closed() in (4400, 4401, 4403), members
        await claims(scene)
        async with serving(scene.operator, a) as terminal:
            await terminal.shows("still here")


async def claims(scene: Yard) -> None:
    """What B says of A's session is no news: not that it ended, and not by REST either."""
    a, b = scene.a, scene.b
    said = {"type": "remote_access", "session_id": a.order["session_id"], "state": "ended", "reason": "stopped"}
    await b.machine.client.socket.send(json.dumps({**said, "at": 1.0}))
    async with scene.hub.client(b.machine.client.key.api_key) as client:
        path = f"/api/v2/rvms/{a.machine.client.key.id}/remote-access"
        foreign = await client.post(f"{path}/stop", json={"session_id": a.order["session_id"]})
        assert foreign.status_code == 404
        own = f"/api/v2/rvms/{b.machine.client.key.id}/remote-access/stop"
        wrong = await client.post(own, json={"session_id": a.order["session_id"]})
        assert wrong.status_code in (404, 409, 422), wrong.text
        assert (await client.get(f"{path}/status")).status_code == 404
        assert (await client.get(f"{path}/history")).status_code in (403, 404)
    await asyncio.sleep(0.3)  # time enough for what must not happen
    status = await scene.operator.get(f"/rvms/{a.machine.client.key.id}/remote-access/status")
    assert [row["id"] for row in status["sessions"]] == [a.order["session_id"]]
