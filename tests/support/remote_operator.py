"""A person who opens leases: REST signed in, the terminal by the browser's cookie, and what the record says of it.

operator = RemoteOperator(hub, hub.admin)
session = await operator.lease(key, reason="camera is dark")
async with operator.terminal(session["id"]) as terminal:
    await terminal.type("echo hello\\r")
    await terminal.shows("hello")
await operator.stop(key)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.browser_client import cookie, origin
from tests.support.hub_people import MachineKey, Person
from tests.support.hub_process import Hub
from tests.support.until import PATIENCE_S

Session = dict[str, Any]
OPEN = ("requested", "starting", "active")
LOOK_S = 0.1
PRESENT_S = 40.0


class TerminalClient:
    """A page's terminal: `output` is every byte it was shown, `heard` the texts beside it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.output = bytearray()
        self.heard: list[dict[str, Any]] = []

    @property
    def ready(self) -> dict[str, Any]:
        return next(text for text in self.heard if text["type"] == "ready")

    async def type(self, keys: str) -> None:
        await self.socket.send(keys.encode())

    async def shows(self, what: str, within: float = PATIENCE_S) -> re.Match[bytes]:
        """Until the output has it (a pattern)."""
        await self.until(lambda: re.search(what.encode(), self.output) is not None, within)
        found = re.search(what.encode(), self.output)
        assert found is not None
        return found

    async def until(self, true: Callable[[], object], within: float = PATIENCE_S) -> None:
        async def read_on() -> None:
            while not true():
                self._take(await self.socket.recv())

        try:
            await asyncio.wait_for(read_on(), within)
        except (asyncio.TimeoutError, websockets.ConnectionClosed) as error:
            raise AssertionError(f"{error!r}: {bytes(self.output[-2000:])!r} {self.heard}") from error

    async def closed(self, within: float = PATIENCE_S) -> int:
        """Read until the hub closes; the close code."""

        async def read_on() -> None:
            while True:
                self._take(await self.socket.recv())

        with contextlib.suppress(websockets.ConnectionClosed):
            await asyncio.wait_for(read_on(), within)
        return self.socket.close_code or 1006

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.output += message
            return
        text = json.loads(message)
        self.heard.append(text)
        if text["type"] == "ready":  # what follows begins there, whatever this page thought it had
            assert text.get("from", 0) <= len(self.output), "a gap"
            del self.output[text.get("from", 0) :]


class RemoteOperator:
    """`person` holds the leases it opens."""

    def __init__(self, hub: Hub, person: Person) -> None:
        self.hub, self.person = hub, person

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        async with self.hub.client(self.person.session) as client:
            return await client.request(method, f"/api/v2{path}", json=body)

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def start(self, key: MachineKey, **asked: Any) -> Session:
        answer = await self.ask("POST", f"/rvms/{key.id}/remote-access/start", {"reason": "test", **asked})
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])

    async def refusal(self, key: MachineKey, **asked: Any) -> tuple[int, str]:
        """The status and the code of a start that is not wanted."""
        answer = await self.ask("POST", f"/rvms/{key.id}/remote-access/start", {"reason": "test", **asked})
        problem = answer.json()
        assert problem["success"] is False, problem
        return answer.status_code, str(problem.get("code", ""))

    async def stop(self, key: MachineKey, **asked: Any) -> Session:
        answer = await self.ask("POST", f"/rvms/{key.id}/remote-access/stop", asked or None)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    async def lease(self, key: MachineKey, **asked: Any) -> Session:
        """Open one, and wait until the machine is in it."""
        session = await self.start(key, **asked)
        return await self.session(key, session["id"], lambda found: found["status"] == "active")

    async def session(
        self, key: MachineKey, session_id: int, true: Callable[[Session], object], within: float = PATIENCE_S
    ) -> Session:
        """The session, once that is true of it."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while True:
            history = await self.get(f"/rvms/{key.id}/remote-access/history?limit=50")
            found = [row for row in rows(history) if row["id"] == session_id]
            if found and true(found[0]):
                return dict(found[0])
            assert loop.time() < ends, found or history
            await asyncio.sleep(LOOK_S)

    async def ended(self, key: MachineKey, session_id: int, within: float = PATIENCE_S) -> Session:
        return await self.session(key, session_id, lambda found: found["status"] == "ended", within)

    async def machine(
        self, key: MachineKey, true: Callable[[dict[str, Any]], object], within: float = PATIENCE_S
    ) -> dict[str, Any]:
        """The machine's status, once that is true of it."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while not true(found := await self.get(f"/rvms/{key.id}/status")):
            assert loop.time() < ends, found
            await asyncio.sleep(LOOK_S)
        return dict(found)

    async def present(self, key: MachineKey) -> None:
        """The real agent is there."""
        await self.machine(key, lambda found: found["connection"] == "live", PRESENT_S)

    async def events(self, code: str) -> list[dict[str, Any]]:
        found = rows(await self.get("/events?kind=remote&limit=200"))
        return [event for event in found if event["code"] == code]

    @contextlib.asynccontextmanager
    async def terminal(self, session_id: int, cols: int = 80, rows: int = 24) -> AsyncIterator[TerminalClient]:
        """A terminal of the lease, with a shell behind it."""
        async with self.terminal_socket() as terminal:
            asked = {"type": "open", "session": session_id, "cols": cols, "rows": rows}
            await terminal.socket.send(json.dumps(asked))
            await terminal.until(lambda: any(text["type"] == "ready" for text in terminal.heard))
            yield terminal

    @contextlib.asynccontextmanager
    async def attached(self, before: TerminalClient) -> AsyncIterator[TerminalClient]:
        """The same terminal again, from the byte where the page had lost it."""
        async with self.terminal_socket() as terminal:
            terminal.output += before.output
            asked = {"type": "attach", "terminal": before.ready["terminal"], "received": len(before.output)}
            await terminal.socket.send(json.dumps(asked))
            yield terminal

    @contextlib.asynccontextmanager
    async def terminal_socket(self) -> AsyncIterator[TerminalClient]:
        """Connected as this person's browser, and nothing said yet."""
        async with websockets.connect(
            self.hub.websocket_url + "/ws/terminal", additional_headers=cookie(self.hub, self.person),
            origin=origin(self.hub), compression=None, proxy=None, max_size=None,
        ) as socket:  # fmt: skip
            yield TerminalClient(socket)


def rows(data: Any) -> list[dict[str, Any]]:
    """A list, whether it came bare or as a member of the page it is part of."""
    if isinstance(data, list):
        return data
    return next(value for value in data.values() if isinstance(value, list))
