"""A page for tests: the feed's socket with a session cookie, and the picture it was told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from hub.web.auth.identify import session_cookie_name
from tests.support.hub_people import Person
from tests.support.hub_process import Hub
from tests.support.until import PATIENCE_S

Frame = dict[str, Any]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


class BrowserClient:
    """`machines` is what the page would show; `frames` counts what came, by type."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.machines: dict[int, Frame] = {}
        self.frames: dict[str, int] = {}
        self.epoch = ""
        self.seq = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, hub: Hub, person: Person | None = None, *, of: int | None = None, **options: Any
    ) -> AsyncIterator[BrowserClient]:
        """Connected, greeted and with its first picture. As a browser it takes everything in, whether its script looks
        or not: with a bounded queue it would stop answering pings while a test is busy elsewhere."""
        async with websockets.connect(
            hub.websocket_url + "/ws/dashboard" + ("" if of is None else f"?of={of}"),
            additional_headers=cookie(hub, person or hub.admin),
            origin=origin(hub), **{"compression": None, "proxy": None, "max_size": None, "max_queue": None, **options},
        ) as socket:  # fmt: skip
            page = cls(socket)
            assert (await page.next())["type"] == "hello"
            assert (await page.next())["type"] == "snapshot"
            yield page

    async def say(self, kind: str, **members: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **members}))

    async def next(self, within: float = PATIENCE_S) -> Frame:
        """The next frame, applied to the picture."""
        frame: Frame = json.loads(await asyncio.wait_for(self.socket.recv(), within), parse_constant=_refuse)
        self.frames[frame["type"]] = self.frames.get(frame["type"], 0) + 1
        if frame["type"] == "snapshot":
            self.machines = {m["id"]: m for m in frame["machines"]}
            self.epoch, self.seq = frame["epoch"], frame["seq"]
        elif frame["type"] == "delta":
            assert frame["seq"] == self.seq + 1, "a gap"
            self.seq = frame["seq"]
            for difference in frame["m"]:
                self.machines.setdefault(difference["id"], {}).update(difference)
            for rvm_id in frame.get("removed", ()):
                self.machines.pop(rvm_id, None)
        return frame

    async def until(self, true: Callable[[Frame], object], within: float = PATIENCE_S) -> Frame:
        """Read on until `true(frame)`."""

        async def read_on() -> Frame:
            while not true(frame := await self.next(within)):
                pass
            return frame

        return await asyncio.wait_for(read_on(), within)

    async def shows(self, true: Callable[[], object], within: float = PATIENCE_S) -> None:
        """Read on until the picture is `true`; what is true already needs no further frame."""
        if not true():
            await self.until(lambda _: true(), within)

    async def closed(self, within: float = PATIENCE_S) -> int:
        """Read until the hub closes; the close code."""

        async def read_on() -> None:
            while True:
                await self.socket.recv()

        with contextlib.suppress(websockets.ConnectionClosed):
            await asyncio.wait_for(read_on(), within)
        return self.socket.close_code or 1006


def origin(hub: Hub) -> websockets.Origin:
    return websockets.Origin(hub.url)


def cookie(hub: Hub, person: Person) -> dict[str, str]:
    return {"Cookie": f"{session_cookie_name(hub.settings)}={person.session}"}
