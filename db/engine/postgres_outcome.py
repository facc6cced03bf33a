"""What became of a transaction whose answer to COMMIT was lost, asked by its number on another connection."""

from __future__ import annotations

from typing import Final

import anyio
import asyncpg

from db.engine.postgres_errors import from_postgres
from db.errors import Unavailable

_NUMBER: Final = "SELECT pg_current_xact_id()::text"
# A standby does not know yet what it has not replayed.
_STATUS: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE pg_xact_status($1::text::xid8) END"
# Its own process may wait for a client that is gone. One that commits already does so all the same.
_END: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = $1::text::xid8::xid"
_PAUSE_S: Final = 0.02


async def number_of(connection: asyncpg.Connection) -> str:
    """Of the transaction that is open on it."""
    return str(await connection.fetchval(_NUMBER))


async def is_committed(connection: asyncpg.Connection, number: str) -> bool | None:
    """Waits for its end. False also where the server never had it: another one took over that was behind. None: it
    does not know. Raises Unavailable where it only stands by, and may have it later."""
    try:
        while (status := await connection.fetchval(_STATUS, number)) == "in progress":
            await connection.fetch(_END, number)
            await anyio.sleep(_PAUSE_S)
        if status == "standby":
            raise Unavailable("the server is a standby")
    except asyncpg.InvalidParameterValueError:  # "is in the future"
        return False
    except asyncpg.PostgresError as error:
        if isinstance(from_postgres(error), Unavailable):
            raise
        return None
    return None if status is None else bool(status == "committed")
