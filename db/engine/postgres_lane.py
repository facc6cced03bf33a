"""One held PostgreSQL connection with its queue: in order, in groups, never silent for over 5 s. The owner's
function serves a group."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import asyncpg

from db.engine.ownership import InUse
from db.engine.pending import MOST_PENDING, Answers, Pending, refuse_all, unchanged
from db.engine.postgres_errors import from_postgres
from db.errors import StoreError, Unavailable

Call = Pending[Any, Any]

CONNECT_S = 2.5
STATEMENT_S = 4.0
_SILENCE_S = 4.5
_MOST_CALLS = 200
LOOK_S = 5.0
"""An idle connection that must be held is tried so often."""


@dataclass(slots=True)
class Attempt:
    """Set `committing` before sending what may commit: a loss then leaves the outcome unknown. Call `answered` at
    each answer."""

    connection: asyncpg.Connection
    answered: Callable[[], None]
    committing: bool = False


Serve = Callable[[Attempt, Sequence[Call]], Awaitable[None]]
"""Settles each call, or raises what concerns all."""


OnConnect = Callable[[asyncpg.Connection], Awaitable[None]]

NAME = "myrvm-hub"
_SESSION = f"""
SET statement_timeout = {int(STATEMENT_S * 1000)};
SET idle_in_transaction_session_timeout = 10000;
SET synchronous_commit = on;
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3
"""
"""Statements of a lost hub must not hold locks. A commit is on disk when it returns. Set once connected: a pooler
refuses unknown settings before."""


async def connect(dsn: str, name: str = NAME) -> asyncpg.Connection:
    """Every statement ends. Raises the driver's or the network's errors."""
    settings = {"application_name": name}
    connection = await asyncpg.connect(dsn, timeout=CONNECT_S, command_timeout=STATEMENT_S, server_settings=settings)
    try:
        await begin_session(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def begin_session(connection: asyncpg.Connection) -> None:
    await connection.execute(_SESSION)


class PostgresLane:
    """Serves calls in order.

    With `on_connect` each new connection is given to it first, and a lost one is made again at once; its InUse is
    final and goes to `lost`."""

    def __init__(self, dsn: str, serve: Serve, name: str = NAME, on_connect: OnConnect | None = None) -> None:
        self._dsn = dsn
        self._serve = serve
        self._name = name
        self._on_connect = on_connect
        self.lost: asyncio.Future[InUse] = asyncio.get_running_loop().create_future()
        self._connection: asyncpg.Connection | None = None
        # Bound: MOST_PENDING, beyond it a call is refused.
        self._queue: deque[Call] = deque()
        self._answers = Answers()
        self._wake = asyncio.Event()
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.get_running_loop().create_task(self._run(), name="postgres-lane")

    async def hold(self) -> None:
        """Connect now, and stay so. Raises InUse, StoreError."""
        try:
            await self.submit(())
        except StoreError:
            if self.lost.done():
                raise self.lost.result() from None
            raise
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    @property
    def silent_s(self) -> float:
        return self._answers.silent_s

    def submit(self, work: Any, on_commit: Callable[[Any], Any] = unchanged) -> asyncio.Future[Any]:
        if self._closing:
            raise Unavailable("the database is closed")
        if len(self._queue) >= MOST_PENDING:
            raise Unavailable("too many writes are waiting")
        call: Call = Pending(work, self._answers, on_commit)
        self._queue.append(call)
        self._wake.set()
        return call.future

    async def close(self) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake.set()
        await self._task
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            with contextlib.suppress(OSError, TimeoutError, asyncio.TimeoutError, asyncpg.PostgresError):
                if self._on_connect is not None:  # the server lets go a moment later than we hang up
                    await connection.execute("SELECT pg_advisory_unlock_all()", timeout=1)
                await connection.close(timeout=1)

    async def _run(self) -> None:
        while not (self._closing and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            if self._on_connect is not None and not (self._queue or self._closing):
                await self._attempt(())
            while self._queue:
                group: list[Call] = []
                while self._queue and len(group) < _MOST_CALLS:
                    call = self._queue.popleft()
                    if not call.given_up:
                        call.begun = True
                        group.append(call)
                if group:
                    await self._attempt(group)

    def _look(self) -> None:
        """Whether an idle held connection is still there, in time."""
        self._wake.set()
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    async def _attempt(self, group: Sequence[Call]) -> None:
        attempt: Attempt | None = None
        try:
            with anyio.fail_after(_SILENCE_S) as limit:
                attempt = Attempt(await self._connected(), partial(self._answered, limit))
                await (self._serve(attempt, group) if group else attempt.connection.execute("SELECT 1"))
        except Exception as error:  # noqa: BLE001 - the lane outlives whatever befell one group; the callers get it
            # Whatever it was, the connection's state is no longer known: the next group gets a new one.
            self._hang_up()
            translated = error if isinstance(error, StoreError) else from_postgres(error)
            if isinstance(error, InUse) and not self.lost.done():
                self.lost.set_result(error)
            if attempt is not None and attempt.committing:
                translated = Unavailable(str(translated), outcome_unknown=True)
            refuse_all(group, translated)

    def _answered(self, limit: anyio.CancelScope) -> None:
        limit.deadline = anyio.current_time() + _SILENCE_S
        self._answers.answered()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._hang_up()
            if self.lost.done():
                raise Unavailable(str(self.lost.result()))
            connection = await connect(self._dsn, self._name)
            if self._on_connect is not None:
                try:
                    await self._on_connect(connection)
                except BaseException:
                    connection.terminate()
                    raise
                connection.add_termination_listener(self._on_lost)
            self._connection = connection
        return self._connection

    def _on_lost(self, connection: asyncpg.Connection) -> None:
        if connection is self._connection:  # not one we hung up ourselves
            self._wake.set()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
