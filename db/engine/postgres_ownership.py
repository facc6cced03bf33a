"""The hub's lock on a PostgreSQL database: advisory, held by the very connections that write, so nothing is written
without it. The first key is the database's; the second belongs to the connection for samples."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Final

import anyio
import asyncpg

from db.engine.ownership import RETRY_S, WAIT_S, InUse, Owner

DATABASE: Final = 0x6D797231
SAMPLES: Final = 0x6D797232

# Advisory locks are each database's own; two installations may share one in schemas of their own.
_SCHEMA = "hashtext(coalesce(current_schema(), ''))"
_TRY = f"SELECT pg_try_advisory_lock($1::int, {_SCHEMA})"
_HOLDER = f"""
SELECT a.pid, a.application_name
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND a.datname = current_database()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = $1 AND l.objid::bigint = ({_SCHEMA}::bigint & 4294967295)
"""  # noqa: S608 - our own text
_END = "SELECT pg_terminate_backend($1::int)"
_LABEL = re.compile(r"myrvm-hub (\d+)@(\S*) (\d+) (\w+)")


def label(owner: Owner) -> str:
    """`application_name`: 63 ASCII characters."""
    host = re.sub(r"[^!-~]", "?", owner.host)[:24]
    return f"myrvm-hub {owner.pid}@{host} {int(owner.since.timestamp())} {owner.token}"


async def take(
    connection: asyncpg.Connection, key: int, owner: Owner, *, evict: Callable[[], bool] = lambda: False
) -> None:
    """For the life of this connection. Raises InUse, and what asyncpg raises. A connection of this same hub that the
    server still believes in is ended; where `evict` allows, anybody's."""
    until, holder = time.monotonic() + WAIT_S, None
    while not await connection.fetchval(_TRY, key):
        if time.monotonic() > until:
            raise InUse("database", await _where(connection), holder)
        row: Any = await connection.fetchrow(_HOLDER, key)
        if row is not None:
            holder = _owner(row["application_name"])
            if evict() or (holder is not None and holder.token == owner.token):
                await connection.fetchval(_END, row["pid"])
        await anyio.sleep(RETRY_S)


async def _where(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval("SELECT current_database()"))


def _owner(name: str) -> Owner | None:
    found = _LABEL.fullmatch(name)
    if found is None:
        return None
    return Owner(found[2], int(found[1]), datetime.fromtimestamp(int(found[3]), timezone.utc), found[4])
