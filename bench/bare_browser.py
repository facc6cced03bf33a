"""Live samples to browsers the shortest way: the newest of each machine, encoded once for all, four times a second."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from bench.bare_wire import Metrics, Receive

TICK_S = 0.25
PAGE = """<!doctype html><meta charset="utf-8"><title>bare</title><p id="t">-</p><script>
const shown = document.getElementById("t");
const feed = new WebSocket(location.origin.replace("http", "ws") + "/ws/dashboard");
feed.onmessage = (event) => { shown.textContent = JSON.parse(event.data).t; };
</script>"""


class Fanout(Receive):
    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[int, Any] = {}
        self._browsers: set[WebSocket] = set()

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/ws/dashboard", self._browser)]

    async def start(self) -> None:
        self._ticking = asyncio.ensure_future(self._tick())

    async def stop(self) -> None:
        self._ticking.cancel()

    async def metrics(self, _link: WebSocket, machine: int, message: Metrics) -> None:
        self._newest[machine] = message.samples[-1]

    async def _browser(self, browser: WebSocket) -> None:
        await browser.accept()
        self._browsers.add(browser)
        with contextlib.suppress(Exception):
            while (await browser.receive())["type"] == "websocket.receive":
                pass
        self._browsers.discard(browser)

    def changed(self) -> list[dict[str, Any]]:
        newest, self._newest = self._newest, {}
        return [{"id": machine, "readings": sample} for machine, sample in newest.items()]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            frame = {"type": "delta", "t": int(time.time() * 1000), "m": self.changed()}
            text = msgspec.json.encode(frame).decode()
            for browser in list(self._browsers):
                with contextlib.suppress(Exception):  # it may be gone
                    await browser.send({"type": "websocket.send", "text": text})


class Page(Fanout):
    def routes(self) -> list[BaseRoute]:
        return [Route("/", self._page), *super().routes()]

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(PAGE)
