"""One held PostgreSQL connection with its queue: in order, in groups, never silent for over 5 s. The owner's
function serves a group. A commit whose answer was lost is looked up before anything else is served."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import anyio
import asyncpg

from db.engine.ownership import InUse
from db.engine.pending import MOST_PENDING, Answers, Pending, refuse_all, settle_all, unchanged
from db.engine.postgres_errors import from_postgres
from db.engine.postgres_outcome import is_committed
from db.errors import StoreError, Unavailable

logger = logging.getLogger("myrvm.database")

Call = Pending[Any, Any]

CONNECT_S = 2.5
STATEMENT_S = 4.0
_SILENCE_S = 4.5
_MOST_CALLS = 200
LOOK_S = 5.0
"""An idle connection that must be held is tried so often."""
ASK_AGAIN_S = 0.25
"""The server is away, and a commit's outcome is still to be asked for."""


class Doubt(NamedTuple):
    """A transaction that was told to commit: its number, and what each call gets if it did."""

    number: str
    outcomes: Sequence[tuple[Call, Any]]


@dataclass(slots=True)
class Attempt:
    """Set `committing` before sending what may commit: a loss then leaves the outcome unknown, unless the `doubt`
    can be asked about. Call `answered` at each answer."""

    connection: asyncpg.Connection
    answered: Callable[[], None]
    committing: bool = False
    doubt: Doubt | None = None


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
        self._doubt: Doubt | None = None
        self._asking: asyncio.TimerHandle | None = None
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
        self._give_up_doubt()
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
            if (self._on_connect is not None or self._doubt is not None) and not (self._queue or self._closing):
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
                await self._settle_doubt(attempt.connection)
                await (self._serve(attempt, group) if group else attempt.connection.execute("SELECT 1"))
        except Exception as error:  # noqa: BLE001 - the lane outlives whatever befell one group; the callers get it
            # Whatever it was, the connection's state is no longer known: the next group gets a new one.
            self._hang_up()
            translated = error if isinstance(error, StoreError) else from_postgres(error)
            if isinstance(error, InUse) and not self.lost.done():
                self.lost.set_result(error)
            if attempt is not None and attempt.committing:
                # Those that are not in doubt never reached the server.
                translated = Unavailable(str(translated), outcome_unknown=attempt.doubt is None)
                self._doubt = attempt.doubt
            doubted = [] if self._doubt is None else [call for call, _ in self._doubt.outcomes]
            refuse_all([call for call in group if call not in doubted], translated)
            if self._doubt is not None:
                self._ask_again()

    def _ask_again(self) -> None:
        """One timer, however many attempts fail: each that rang would otherwise set the next."""
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.get_running_loop().call_later(ASK_AGAIN_S, self._wake.set)

    async def _settle_doubt(self, connection: asyncpg.Connection) -> None:
        """Before anything else is served: what is committed takes effect in order, also when its caller has left."""
        if (doubt := self._doubt) is None:
            return
        committed = await is_committed(connection, doubt.number)
        self._doubt = None
        became = {True: "it is stored", False: "it was rolled back", None: "the server does not know"}[committed]
        logger.warning("the answer to a commit was lost: %s", became)
        if committed:
            settle_all(doubt.outcomes)
        else:
            lost = Unavailable("the connection was lost at the commit", outcome_unknown=committed is None)
            refuse_all([call for call, _ in doubt.outcomes], lost)

    def _give_up_doubt(self) -> None:
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            refuse_all(
                [call for call, _ in doubt.outcomes], Unavailable("the database is closed", outcome_unknown=True)
            )

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
