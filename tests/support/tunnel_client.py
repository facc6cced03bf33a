"""A machine of a test's own making in a lease: its link answers as an agent does, its tunnel says what it is told.

async with leased_machine(hub, key) as machine:          # linked, nothing open yet
    session = await operator.start(key)
    order = await machine.accept()                        # answers start_remote_access
    async with machine.tunnel(order) as tunnel: ...
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import Hub
from tests.support.machine_client import MachineClient
from tests.support.until import PATIENCE_S

SUBPROTOCOL = "myrvm.tunnel.v1"
CAPABILITIES = ["ping", "set_status", "start_remote_access", "stop_remote_access", "extend_remote_access"]


class LeasedMachine:
    """One machine's link."""

    def __init__(self, hub: Hub, client: MachineClient) -> None:
        self.hub, self.client = hub, client

    async def accept(self) -> dict[str, Any]:
        """The next lease's arguments; it is answered as one the machine is in."""
        while (command := await self.client.hear(m.Command)).name != "start_remote_access":
            await self._succeed(command)
        await self._succeed(command)
        return dict(command.args)

    async def stopped(self) -> dict[str, Any]:
        """The next `stop_remote_access`."""
        while (command := await self.client.hear(m.Command)).name != "stop_remote_access":
            await self._succeed(command)
        await self._succeed(command)
        return dict(command.args)

    async def _succeed(self, command: m.Command) -> None:
        for state in ("accepted", "succeeded"):
            await self.client.say(m.CommandUpdate(id=command.id, state=state))

    @contextlib.asynccontextmanager
    async def tunnel(self, order: dict[str, Any], **members: Any) -> AsyncIterator[TunnelClient]:
        first = {"type": "open", "session_id": order["session_id"], "ticket": order.get("ticket", ""), **members}
        async with tunnel_socket(self.hub, self.client.key) as tunnel:
            await tunnel.socket.send(json.dumps(first))
            yield tunnel


class TunnelClient:
    """The machine's end of a tunnel, byte by byte."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def opened(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
        assert isinstance(text, str)
        found: dict[str, Any] = json.loads(text)
        assert found["type"] == "opened", found
        return found

    async def send(self, kind: int, stream: int, payload: bytes = b"") -> None:
        await self.socket.send(bytes([kind]) + stream.to_bytes(4, "big") + payload)

    async def frame(self, kind: int, within: float = PATIENCE_S) -> tuple[int, bytes]:
        """The stream and payload of the next frame of that type."""

        async def read_on() -> tuple[int, bytes]:
            while True:
                data = await self.socket.recv()
                if isinstance(data, bytes) and data[0] == kind:
                    return int.from_bytes(data[1:5], "big"), data[5:]

        return await asyncio.wait_for(read_on(), within)

    async def closed(self, within: float = PATIENCE_S) -> int:
        async def read_on() -> None:
            while True:
                await self.socket.recv()

        with contextlib.suppress(websockets.ConnectionClosed):
            await asyncio.wait_for(read_on(), within)
        return self.socket.close_code or 1006


@contextlib.asynccontextmanager
async def tunnel_socket(hub: Hub, key: MachineKey) -> AsyncIterator[TunnelClient]:
    """Upgraded with that machine's key, and nothing said."""
    async with websockets.connect(
        hub.websocket_url + "/ws/tunnel", subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {key.api_key}"}, compression=None, proxy=None,
    ) as socket:  # fmt: skip
        yield TunnelClient(socket)


@contextlib.asynccontextmanager
async def leased_machine(hub: Hub, key: MachineKey, admin_ips: list[str] | None = None) -> AsyncIterator[LeasedMachine]:
    """Linked, and reachable from loopback."""
    async with hub.client() as client:
        request = {"admin_ips": admin_ips or ["127.0.0.1/32"], "max_concurrent_sessions": 5}
        answer = await client.patch(f"/api/v2/rvms/{key.id}/config", json=request)
        assert answer.status_code == 200, answer.text
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(
            capabilities=CAPABILITIES, hardware={"remote": {"ports": [5000, 5001], "terminal": True}},
        )  # fmt: skip
        yield LeasedMachine(hub, machine)
