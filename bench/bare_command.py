"""A command the shortest way that is still safe: commit it, ask the machine, commit the answer, say it.

The samples of the other machines are kept as safely (`bare_stores.Durable`) or, to be as light as can be, forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from functools import partial
from typing import Protocol

import asyncpg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.websockets import WebSocket

from bench.bare_stores import Durable, open_store
from bench.bare_wire import Metrics, Receive, Update

TABLE = "CREATE TABLE IF NOT EXISTS commands(id text PRIMARY KEY, rvm_id integer, args text, state text)"
INSERT = "INSERT INTO commands VALUES ({0}, {1}, {2}, 'queued')"
SETTLE = "UPDATE commands SET state = {0} WHERE id = {1}"


class Ledger(Protocol):
    async def open(self) -> None: ...
    async def execute(self, sql: str, *values: object) -> None: ...
    async def close(self) -> None: ...


class SqliteLedger:
    def __init__(self, path: str) -> None:
        self._path = path

    async def open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")

    async def execute(self, sql: str, *values: object) -> None:
        self._db.execute(sql.format("?", "?", "?"), values)

    async def close(self) -> None:
        self._db.close()


class PostgresqlLedger:
    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(self._url, min_size=2, max_size=4)

    async def execute(self, sql: str, *values: object) -> None:
        await self._pool.execute(sql.format("$1", "$2", "$3"), *values)

    async def close(self) -> None:
        await self._pool.close()


class Command(Durable):
    def __init__(self, store: str, *, keeps: bool = True) -> None:
        super().__init__(open_store(store))
        self._keeps = keeps
        self._ledger: Ledger = PostgresqlLedger(store) if "://" in store else SqliteLedger(store)
        self._waiting: dict[str, asyncio.Future[str]] = {}

    def routes(self) -> list[BaseRoute]:
        return [Route("/command/{machine:int}", self._order, methods=["POST"])]

    async def start(self) -> None:
        await super().start()
        await self._ledger.open()
        await self._ledger.execute(TABLE)

    async def stop(self) -> None:
        await self._ledger.close()
        await super().stop()

    async def metrics(self, link: WebSocket, machine: int, message: Metrics) -> None:
        await (super().metrics if self._keeps else partial(Receive.metrics, self))(link, machine, message)

    def update(self, message: Update) -> None:
        waiting = self._waiting.pop(message.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.state)

    async def _order(self, request: Request) -> Response:
        machine, order = request.path_params["machine"], uuid.uuid4().hex
        args = (await request.body()).decode()
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[order] = answered
        await self._ledger.execute(INSERT, order, machine, args)
        text = f'{{"type":"command","id":"{order}","name":"set_status","args":{args}}}'
        with contextlib.suppress(KeyError):
            await self.links[machine].send({"type": "websocket.send", "text": text})
        state = await asyncio.wait_for(answered, 10)
        await self._ledger.execute(SETTLE, state, order)
        return Response(f'{{"state":"{state}"}}', media_type="application/json")
