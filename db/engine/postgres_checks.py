"""Whether a PostgreSQL database can serve at all, and what stands before it. Changes nothing."""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from db.engine.postgres_errors import FAILURES, from_postgres
from db.engine.postgres_lane import CONNECT_S, NAME, STATEMENT_S
from db.errors import Unsuitable

LEAST_VERSION: Final = 14
"""`date_bin`."""

_FACTS = """
SELECT pg_backend_pid() AS pid, current_setting('server_version_num')::int / 10000 AS version,
       current_setting('server_version') AS version_text, current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') AS read_only,
       current_database() AS name
"""


async def check(dsn: str) -> None:
    """Raises Unsuitable, Unavailable, StoreError."""
    try:
        await _check(dsn)
    except FAILURES as error:
        raise from_postgres(error) from error


async def _check(dsn: str) -> None:
    first = await _connect(dsn)
    try:
        facts = await _facts(first)
        judge(facts)
        # A pooler gives numbers of its own to its clients.
        if facts["pid"] != first.get_server_pid():
            await _check_pooler(dsn, first)
    finally:
        first.terminate()


async def _connect(dsn: str) -> asyncpg.Connection:
    # Without prepared statements: they are what some poolers cannot keep.
    return await asyncpg.connect(
        dsn, timeout=CONNECT_S, command_timeout=STATEMENT_S, statement_cache_size=0,
        server_settings={"application_name": NAME},
    )  # fmt: skip


async def _facts(connection: asyncpg.Connection) -> Any:
    try:
        async with connection.transaction():
            return await connection.fetchrow(_FACTS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as refused:
        if "statement pooling" in str(refused):  # how pgbouncer hangs up
            raise Unsuitable("pooling", "a pooler lends a connection for one statement only") from refused
        raise


def judge(facts: Any) -> None:
    if facts["version"] < LEAST_VERSION:
        why = f"it is PostgreSQL {facts['version_text']}, older than {LEAST_VERSION}"
        raise Unsuitable("version", why, version=facts["version_text"], least=LEAST_VERSION)
    if facts["encoding"] != "UTF8":
        why = f"the encoding of the database {facts['name']} is {facts['encoding']}, not UTF8"
        raise Unsuitable("encoding", why, encoding=facts["encoding"], name=facts["name"])
    if facts["standby"]:
        raise Unsuitable("standby", "the server is a standby, which only reads")
    if facts["read_only"] != "off":
        raise Unsuitable("read_only", "default_transaction_read_only is on", name=facts["name"])


async def _check_pooler(dsn: str, first: asyncpg.Connection) -> None:
    """Clients never share a server's process, unless it is lent for a transaction."""
    second = await _connect(dsn)
    try:
        mine = await _pid(first)
        async with second.transaction():
            theirs = await second.fetchval("SELECT pg_backend_pid()")
            again = await _pid(first)
    finally:
        second.terminate()
    if mine == theirs or mine != again:
        raise Unsuitable("pooling", "a pooler lends a connection for one transaction only")


async def _pid(connection: asyncpg.Connection) -> Any:
    async with connection.transaction():
        return await connection.fetchval("SELECT pg_backend_pid()")
