"""A hub on a real socket with a lease and a machine whose ports are real servers of the test: every request crosses the
hub's whole stack and ends at a listener. Streams go straight to the port instead of through a tunnel.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec

from db.records import SESSION_PARTS, RemoteSessionRow
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import TunnelError
from protocol import configuration
from tests.support.api_hub import ApiHub, api_hub
from tests.support.bare_server import serving

HERE = ["127.0.0.1/32"]
SESSION = 7


class PortStream:
    """A connection to a port of this computer, as a stream of a tunnel would be one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.info: dict[str, Any] = {}
        self.was_reset = False

    async def send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as gone:
            raise TunnelError("internal", "connection lost") from gone

    async def receive(self) -> bytes:
        if self.was_reset:
            raise TunnelError("session_over")
        try:
            data = await self._reader.read(16 * 1024)
        except OSError as gone:
            raise TunnelError("internal", "connection lost") from gone
        if self.was_reset:
            raise TunnelError("session_over")
        return data

    def reset(self, code: str, message: str = "") -> None:
        self.was_reset = True
        self._writer.close()


@dataclass
class PortTunnels:
    """What the hub's tunnels would do for kind "port". `asked` is every connection that was wanted."""

    asked: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    streams: list[PortStream] = field(default_factory=list)
    refuse: str | None = None

    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> PortStream:
        self.asked.append((session_id, kind, args))
        if self.refuse is not None:
            raise TunnelError(self.refuse, "no")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", args["port"])
        except OSError as nobody:
            raise TunnelError("not_running", "nobody listens") from nobody
        self.streams.append(PortStream(reader, writer))
        return self.streams[-1]

    def end(self) -> None:
        for stream in self.streams:
            stream.reset("session_over")


@dataclass
class Asked:
    """One request as the machine's server got it."""

    line: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    async def body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            found = b""
            while size := int(await self.reader.readline(), 16):
                found += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readline()
            return found
        return await self.reader.readexactly(int(self.headers.get("content-length", "0")))

    def answer(self, body: bytes, kind: str = "text/html", status: str = "200 OK", more: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.writer.write(head.encode("latin-1") + body)


@dataclass
class MachineServer:
    """A server on a port of the machine; `asked` is everything that came. `answer` may be changed at any time."""

    answer: Callable[[Asked], Awaitable[None]]
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            line = (await reader.readline()).decode("latin-1").strip()
            headers = {}
            while raw := (await reader.readline()).decode("latin-1").strip():
                name, _, value = raw.partition(":")
                headers[name.lower()] = value.strip()
            asked = Asked(line, headers, reader, writer)
            self.asked.append(asked)
            await self.answer(asked)
            await writer.drain()
            writer.close()


@contextlib.asynccontextmanager
async def machine_server(answer: Callable[[Asked], Awaitable[None]]) -> AsyncIterator[MachineServer]:
    made = MachineServer(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@dataclass
class PagesHub:
    """`url` is the hub's address; the operator holds the lease."""

    hub: ApiHub
    url: str
    tunnels: PortTunnels

    @property
    def rvm_id(self) -> int:
        return self.hub.machines["one"]

    def lease(self, *ports: int, **changed: Any) -> RemoteSessionRow:
        """An active lease of the operator on machine `one`."""
        now = self.hub.context.clock()
        made = RemoteSessionRow(
            id=SESSION, rvm_id=self.rvm_id, admin_id=self.hub.users["operator"], admin_name="operator",
            status="active", start_time=now, expires_at=now + timedelta(hours=1), duration_s=3600.0, created_at=now,
            ports=ports, allow=SESSION_PARTS,
        )  # fmt: skip
        made = msgspec.structs.replace(made, **changed)
        self.hub.context.fleet.machines[self.rvm_id].remote_sessions[made.id] = made
        return made

    def end_lease(self) -> None:
        del self.hub.context.fleet.machines[self.rvm_id].remote_sessions[SESSION]
        self.tunnels.end()

    def let_in(self, *networks: str) -> None:
        machine = self.hub.context.fleet.machines[self.rvm_id]
        machine.effective_settings = effective_of(
            configuration.defaults(), DesiredSettings({"admin_ips": list(networks)}, 1)
        )

    async def open(self, port: int, name: str = "operator", **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            return await client.post(
                f"/api/v2/rvms/{self.rvm_id}/remote-access/pages",
                json={"port": port, **more},
                headers={"Authorization": f"Bearer {self.hub.logins[name]}"},
            )

    async def page(self, port: int) -> str:
        """The address of an opened page."""
        answer = await self.open(port)
        assert answer.status_code == 201, answer.text
        return self.url + str(answer.json()["data"]["url"])


@contextlib.asynccontextmanager
async def pages_hub(tmp_path: Path, **settings: Any) -> AsyncIterator[PagesHub]:
    async with api_hub(tmp_path, **settings) as hub:
        await hub.add_everybody()
        tunnels = PortTunnels()
        hub.context[Tunnels] = cast(Tunnels, tunnels)
        async with serving(hub.app) as server:
            made = PagesHub(hub, f"http://127.0.0.1:{server.port}", tunnels)
            made.let_in(*HERE)
            try:
                yield made
            finally:  # the record knows nothing of these leases, and need not be told of their end
                hub.context.fleet.machines[made.rvm_id].remote_sessions.clear()
