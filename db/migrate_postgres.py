"""Runs a migration's SQL on PostgreSQL, one process at a time. Knows no table but that of the version."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from db.postgres_errors import FAILURES, from_postgres

IsNewest = Callable[[str | None], bool]
Script = Callable[[str | None], str]

_READ_VERSION = "SELECT version_num FROM alembic_version"
WAIT_S = 60.0
"""How long to wait for another process that is upgrading the same database, and for a step of the upgrade."""
_LOCK = 0x6D7972766D  # "myrvm"


async def upgrade_postgres(dsn: str, is_newest: IsNewest, script: Script) -> None:
    """Run `script` of the version found, unless it is the newest. Raises StoreError."""
    try:
        await _upgrade(dsn, is_newest, script)
    except FAILURES as error:
        raise from_postgres(error) from error


async def _upgrade(dsn: str, is_newest: IsNewest, script: Script) -> None:
    connection = await asyncpg.connect(dsn, timeout=4, command_timeout=4)
    try:
        if is_newest(await _postgres_version(connection)):
            return
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", timeout=WAIT_S)
            version = await _postgres_version(connection)
            if not is_newest(version):
                await connection.execute(script(version), timeout=WAIT_S)
    finally:
        connection.terminate()


async def _postgres_version(connection: asyncpg.Connection) -> str | None:
    there = await connection.fetchval("SELECT to_regclass('alembic_version')::text")
    version = await connection.fetchval(_READ_VERSION) if there else None
    return None if version is None else str(version)
