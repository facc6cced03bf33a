"""One held PostgreSQL connection and the queue before it: in order, in groups, and never for longer than 5 s.

A lane knows when a connection is lost, hung or healed; what a group of calls does on it is its owner's function.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import asyncpg

from db.errors import StoreError, Unavailable
from db.pending import MOST_PENDING, Pending, refuse_all
from db.postgres_errors import from_postgres

Call = Pending[Any, Any]

CONNECT_S = 2.5
STATEMENT_S = 4.0
_GROUP_S = 4.5
_MOST_CALLS = 200


@dataclass(slots=True)
class Attempt:
    """Set `committing` before sending what may commit: from then on a loss leaves the outcome unknown."""

    connection: asyncpg.Connection
    committing: bool = False


Serve = Callable[[Attempt, Sequence[Call]], Awaitable[None]]
"""Settles every call it is given, or raises what concerns them all."""


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection whose every statement ends. Raises the driver's or the network's errors."""
    return await asyncpg.connect(dsn, timeout=CONNECT_S, **SETTINGS)


SETTINGS: dict[str, Any] = {
    "command_timeout": STATEMENT_S,
    "server_settings": {
        "application_name": "myrvm-hub",
        # What the hub has given up on must not go on holding locks. On: a commit is on the disk when it returns.
        "statement_timeout": str(int(STATEMENT_S * 1000)),
        "idle_in_transaction_session_timeout": "10000",
        "synchronous_commit": "on",
    },
}


class PostgresLane:
    """Calls are served in the order in which they were made."""

    def __init__(self, dsn: str, serve: Serve) -> None:
        self._dsn = dsn
        self._serve = serve
        self._connection: asyncpg.Connection | None = None
        # Bound: MOST_PENDING, beyond it a call is refused.
        self._queue: deque[Call] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="postgres-lane")

    async def wait(self, work: Any) -> Any:
        """Queue `work` and give what it came to. Raises StoreError."""
        if self._closing:
            raise Unavailable("the database is closed")
        if len(self._queue) >= MOST_PENDING:
            raise Unavailable("too many writes are waiting")
        call: Call = Pending(work)
        self._queue.append(call)
        self._wake.set()
        return await call.outcome()

    async def close(self) -> None:
        """Serve what waits, then hang up."""
        self._closing = True
        self._wake.set()
        await self._task
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            with contextlib.suppress(OSError, TimeoutError, asyncio.TimeoutError, asyncpg.PostgresError):
                await connection.close(timeout=1)

    async def _run(self) -> None:
        while not (self._closing and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                group: list[Call] = []
                while self._queue and len(group) < _MOST_CALLS:
                    call = self._queue.popleft()
                    if not call.given_up:
                        call.begun = True
                        group.append(call)
                if group:
                    await self._attempt(group)

    async def _attempt(self, group: Sequence[Call]) -> None:
        attempt: Attempt | None = None
        try:
            with anyio.fail_after(_GROUP_S):
                attempt = Attempt(await self._connected())
                await self._serve(attempt, group)
        except Exception as error:  # noqa: BLE001 - the lane outlives whatever befell one group; the callers are told
            # Whatever it was, the connection's state is no longer known: the next group gets a new one.
            self._hang_up()
            translated = error if isinstance(error, StoreError) else from_postgres(error)
            if attempt is not None and attempt.committing:
                translated = Unavailable(str(translated), outcome_unknown=True)
            refuse_all(group, translated)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._hang_up()
            self._connection = await connect(self._dsn)
        return self._connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
